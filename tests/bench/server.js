// An HTTP app with some work of its own per request: reads JSON, sorts, hashes, fills a template.
'use strict';
const crypto = require('crypto');
const http = require('http');

const ITEMS = 600;
const text = JSON.stringify(Array.from({ length: ITEMS }, function (_, i) {
    return { id: i, name: 'item ' + (i * 7919 % ITEMS), price: i * 31 % 97, tags: ['a' + i % 5, 'b' + i % 11] };
}));

function byPrice(a, b) {
    return a.price - b.price || (a.name < b.name ? -1 : 1);
}

function countTags(items) {
    const counts = new Map();
    for (const item of items)
        for (const tag of item.tags)
            counts.set(tag, (counts.get(tag) || 0) + item.price);
    return counts;
}

function render(items, counts) {
    let page = '<ul>';
    for (const item of items)
        page += '<li>' + item.name.replace(/[<>&]/g, '') + ': ' + item.price.toFixed(2) + '</li>';
    for (const [tag, count] of counts)
        page += '<li>' + tag + ' ' + count + '</li>';
    return page + '</ul>';
}

function answer(request) {
    const items = JSON.parse(text);
    items[0].name = request.url;
    items.sort(byPrice);
    const page = render(items, countTags(items));
    return crypto.createHash('sha256').update(page).digest('hex') + '\n';
}

const server = http.createServer(function (request, response) {
    response.end(answer(request));
});
server.listen(0, '127.0.0.1', function () {
    console.log('listening ' + server.address().port);
});
