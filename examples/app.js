// A small JSON API that puts itself under light load: something to profile in the demo.
'use strict';
const http = require('http');
const crypto = require('crypto');

const orders = [];
for (let i = 0; i < 4000; i++)
    orders.push({ id: i, customer: 'customer-' + i % 97, cents: (i * 7919) % 20000, day: i % 365 });

// The hot one: it compares each order with each of its neighbours where a table of sums would do.
function rankCustomers() {
    const ranks = [];
    for (let i = 0; i < orders.length; i++) {
        let rank = 0;
        for (let j = 0; j < orders.length; j++)
            if (orders[j].cents > orders[i].cents)
                rank++;
        ranks.push({ id: orders[i].id, rank: rank });
    }
    return ranks.sort(function (a, b) { return a.rank - b.rank; }).slice(0, 10);
}

function totalsByDay() {
    const totals = {};
    orders.forEach(function (order) {
        totals[order.day] = (totals[order.day] || 0) + order.cents;
    });
    return totals;
}

function signBody(body) {
    return crypto.createHmac('sha256', 'demo').update(body).digest('hex');
}

const routes = {
    '/ranks': rankCustomers,
    '/totals': totalsByDay,
    '/health': function () { return { up: process.uptime() }; }
};

const server = http.createServer(function (request, response) {
    const route = routes[request.url];
    if (!route) {
        response.writeHead(404);
        response.end('{"error":"no such page"}\n');
        return;
    }
    const body = JSON.stringify(route());
    response.writeHead(200, { 'Content-Type': 'application/json', 'X-Signature': signBody(body) });
    response.end(body + '\n');
});

// One request at a time, a short rest after each.
function loadOnce(agent, paths, turn) {
    const url = { host: '127.0.0.1', port: server.address().port, path: paths[turn % paths.length], agent: agent };
    http.get(url, function (response) {
        response.resume();
        response.on('end', function () { setTimeout(loadOnce, 25, agent, paths, turn + 1); });
    });
}

server.listen(Number(process.env.PORT || 0), '127.0.0.1', function () {
    console.log('api listening on http://127.0.0.1:' + server.address().port);
    loadOnce(new http.Agent({ keepAlive: true }), ['/ranks', '/totals', '/health'], 0);
});
