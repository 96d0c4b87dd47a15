/* name.c - finds the run's name in a configuration: words, strings and braces, no more of its
 * syntax. */
#include "observer/source/name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 512 };

struct name_reader {
    const char *at;
    char word[WORD_MAX]; /* of the token: its text, without quotes */
};

static void skip_blank(struct name_reader *r)
{
    for (;;) {
        r->at += strspn(r->at, " \t\r\n;");
        if (*r->at == '#' || strncmp(r->at, "//", 2) == 0)
            r->at += strcspn(r->at, "\n");
        else if (strncmp(r->at, "/*", 2) == 0) {
            const char *end = strstr(r->at + 2, "*/");

            r->at = end ? end + 2 : r->at + strlen(r->at);
        } else
            return;
    }
}

/* The character after a backslash in double quotes: \n, \x41, \101; any other stands for itself. */
static char escape_read(struct name_reader *r)
{
    static const char letters[] = "abefnrtv", bytes[] = "\a\b\033\f\n\r\t\v";
    const char *letter = *r->at ? strchr(letters, *r->at) : NULL;
    char digits[4] = "";
    int n = 0;

    if (*r->at == 'x' && isxdigit((unsigned char)r->at[1])) {
        for (r->at++; n < 2 && isxdigit((unsigned char)*r->at); n++)
            digits[n] = *r->at++;
        return (char)strtol(digits, NULL, 16);
    }
    for (; n < 3 && *r->at >= '0' && *r->at <= '7'; n++)
        digits[n] = *r->at++;
    if (n > 0)
        return (char)strtol(digits, NULL, 8);
    if (*r->at)
        r->at++;
    return letter ? bytes[letter - letters] : r->at[-1];
}

static void string_read(struct name_reader *r)
{
    char quote = *r->at++;
    size_t n = 0;

    while (*r->at && *r->at != quote) {
        char c = *r->at++;

        if (c == '\\' && *r->at)
            c = quote == '"' ? escape_read(r) : *r->at++;
        if (n < WORD_MAX - 1)
            r->word[n++] = c;
    }
    r->at += *r->at == quote;
    r->word[n] = '\0';
}

/* 'w': a word or a string; else the character; 0: the end. */
static char token_next(struct name_reader *r)
{
    size_t n;

    skip_blank(r);
    if (!*r->at)
        return 0;
    if (strchr("{}=,()+", *r->at))
        return *r->at++;
    if (*r->at == '"' || *r->at == '\'') {
        string_read(r);
        return 'w';
    }
    n = strcspn(r->at, " \t\r\n;{}=,()+\"'#");
    strncpy(r->word, r->at, n < WORD_MAX ? n : WORD_MAX - 1);
    r->word[n < WORD_MAX ? n : WORD_MAX - 1] = '\0';
    r->at += n;
    return 'w';
}

bool name_read(const char *text, char *name, size_t n)
{
    struct name_reader r = {.at = text};
    int depth = 0;
    bool in_run = false, run_next = false, found = false, is_name = false;

    for (char t; (t = token_next(&r));) {
        if (t == '{') {
            in_run |= depth == 0 && run_next;
            depth++;
        }
        if (t == '}' && depth > 0 && --depth == 0)
            in_run = false;
        if (t == 'w' && in_run && depth == 1 && is_name) {
            strncpy(name, r.word, n - 1);
            name[n - 1] = '\0';
            found = true;
        }
        run_next = t == 'w' && depth == 0 && strcmp(r.word, "run") == 0;
        is_name = (t == '=' && is_name) || (t == 'w' && !is_name && strcmp(r.word, "name") == 0);
    }
    return found;
}
