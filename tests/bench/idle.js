// The smallest app with something to keep it alive.
'use strict';
const http = require('http');
http.createServer(function (request, response) {
    response.end('hello\n');
}).listen(0, '127.0.0.1');
