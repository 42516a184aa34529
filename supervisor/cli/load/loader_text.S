/* loader.js as it is, with a NUL behind it. */
    .section .rodata
    .global loader_text
loader_text:
    .incbin "supervisor/cli/load/loader.js"
    .byte 0
    .section .note.GNU-stack, "", %progbits
