// Prints LINES numbered lines of 100 bytes and exits at once.
'use strict';
const rest = ' ' + 'x'.repeat(89);
for (let number = 0; number < Number(process.env.LINES); number++)
    console.log(String(number).padStart(9, '0') + rest);
process.exit(0);
