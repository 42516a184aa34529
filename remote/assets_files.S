/* The files of the page, as they are. */
    .section .rodata
    .macro file name, path
    .global \name\()_begin, \name\()_end
\name\()_begin:
    .incbin "\path"
\name\()_end:
    .byte 0
    .endm

    file page_html, "remote/web/page.html"
    file page_css, "remote/web/page.css"
    file page_js, "remote/web/page.js"
    file icon_svg, "remote/web/icon.svg"

    .section .note.GNU-stack, "", %progbits
