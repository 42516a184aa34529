/* remote/openapi.json as it is, with a NUL behind it. */
    .section .rodata
    .global openapi_begin, openapi_end
openapi_begin:
    .incbin "remote/openapi.json"
openapi_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
