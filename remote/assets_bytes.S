/* The files of the page: remote/assets_table.h. */
    .section .rodata
    .global assets_bytes
assets_bytes:
    .incbin "build/web/assets.bin"
    .byte 0
    .section .note.GNU-stack, "", %progbits
