// Prints LINES numbered lines of 100 bytes and ends: by itself, or with EXIT=1 by process.exit() at once.
// Node writes to a pipe until it is full and keeps the rest for later, which process.exit() throws away: no reader can
// get that.  So the number of bytes that the system has taken goes into the file TAKEN.
'use strict';
const fs = require('fs');
const rest = ' ' + 'x'.repeat(89);

for (let number = 0; number < Number(process.env.LINES); number++)
    console.log(String(number).padStart(9, '0') + rest);
process.on('exit', function () {
    const handle = process.stdout._handle;
    fs.writeFileSync(process.env.TAKEN, String(handle.bytesWritten - handle.writeQueueSize));
});
if (process.env.EXIT)
    process.exit(0);
