/* page.c - observer/view/page/, and dygraphs as its Debian package has it (DYGRAPHS, from the
 * Makefile), as bytes. */
#include "observer/view/page.h"

#include <string.h>

#define FILE_BYTES(name, path)                                                                     \
    __asm__(".section .rodata\n.global " #name "\n" #name ":\n.incbin \"" path                     \
            "\"\n.global " #name "_end\n" #name "_end:\n.byte 0\n.previous\n");                    \
    extern const unsigned char name[], name##_end[];

FILE_BYTES(page_index, "observer/view/page/index.html")
FILE_BYTES(page_app, "observer/view/page/app.js")
FILE_BYTES(page_charts, "observer/view/page/charts.js")
FILE_BYTES(page_style, "observer/view/page/style.css")
FILE_BYTES(page_dygraph, DYGRAPHS "/dygraph.min.js")
FILE_BYTES(page_dygraph_style, DYGRAPHS "/dygraph.min.css")

#define JS "text/javascript; charset=utf-8"
#define CSS "text/css; charset=utf-8"

const struct page_file *page_find(const char *path)
{
    static const struct page_file files[] = {
        {"/", "text/html; charset=utf-8", page_index, page_index_end},
        {"/app.js", JS, page_app, page_app_end},
        {"/charts.js", JS, page_charts, page_charts_end},
        {"/style.css", CSS, page_style, page_style_end},
        {"/dygraph.min.js", JS, page_dygraph, page_dygraph_end},
        {"/dygraph.min.css", CSS, page_dygraph_style, page_dygraph_style_end},
    };

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    return NULL;
}
