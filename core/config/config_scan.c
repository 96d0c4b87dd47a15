/* config_scan.c - a pass over the text before libconfuse (3.3), whose lexer counts one line too
 * many for each comment, refuses comments inside values, drops bytes it does not know, takes the
 * end of the file for the end of a section, expands ${...}, after an error inside a string starts
 * the next file inside that string, grows a string by 32 bytes at a time, and knows no titles that
 * may be left out. */
#include <ctype.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

enum { STRING_MAX = 4 * 4096 }; /* bytes between quotes: the longest value, each byte an escape */

struct scan {
    const char *name, *in;
    char *out, *statement; /* the latter: after the last brace that closed a section */
    int line, depth;
    int opened; /* line of the innermost open brace's section */
    struct config_lines *lines;
};

static int scan_error(const struct scan *s, const char *what)
{
    return err(ERR_CONFIG, "%s:%d: %s", s->name, s->line, what);
}

static void scan_copy(struct scan *s)
{
    s->line += *s->in == '\n';
    *s->out++ = *s->in++;
}

/* Checks the escape at a backslash in double quotes. */
static int scan_escape(struct scan *s)
{
    const char *digits = s->in + 1;
    size_t n = strspn(digits, "0123456789"), zeros = strspn(digits, "0");

    if (*digits == 'x' && isxdigit((unsigned char)digits[1])) {
        n = isxdigit((unsigned char)digits[2]) ? 2 : 1;
        if (strspn(digits + 1, "0") >= n)
            return scan_error(s, "a string cannot hold a zero byte");
        return 0;
    }
    if (n == 0)
        return 0;
    if (n > 3 || strspn(digits, "01234567") < n || (n == 3 && *digits > '3'))
        return err(ERR_CONFIG, "%s:%d: bad escape '\\%.*s': write \\ooo (octal) or \\xhh", s->name,
                   s->line, n < 9 ? (int)n : 9, digits);
    if (zeros == n)
        return scan_error(s, "a string cannot hold a zero byte");
    return 0;
}

static int scan_string(struct scan *s)
{
    const char *start = s->in;
    char quote = *start;
    int opened = s->line;

    scan_copy(s);
    while (*s->in && *s->in != quote) {
        if (quote == '"' && s->in[0] == '$' && s->in[1] == '{')
            return scan_error(s, "'${' is not expanded here; write \\${ for the characters");
        if (*s->in == '\\') {
            if (quote == '"')
                TRY(scan_escape(s));
            scan_copy(s);
        }
        if (*s->in)
            scan_copy(s);
    }
    if (!*s->in)
        return err(ERR_CONFIG, "%s:%d: the string that starts here does not end", s->name, opened);
    if (s->in - start - 1 > STRING_MAX)
        return err(ERR_CONFIG, "%s:%d: the string that starts here has more than %d bytes", s->name,
                   opened, STRING_MAX);
    scan_copy(s);
    return 0;
}

/* A '/' inside a word ("runs/a", "tcp://x") does not start a comment. */
static bool scan_at_comment(const struct scan *s, const char *start)
{
    if (*s->in == '#')
        return true;
    if (s->in[0] != '/' || (s->in[1] != '/' && s->in[1] != '*'))
        return false;
    return s->out == start || strchr(" \t\r\n{}=,\"'", s->out[-1]);
}

static int scan_comment(struct scan *s)
{
    bool block = s->in[0] == '/' && s->in[1] == '*';
    const char *end = block ? strstr(s->in + 2, "*/") : s->in + strcspn(s->in, "\n");

    if (!end)
        return scan_error(s, "the comment that starts here does not end");
    end += block ? 2 : 0;
    *s->out++ = ' ';
    for (; s->in < end; s->in++) {
        if (*s->in == '\n') {
            *s->out++ = '\n';
            s->line++;
        }
    }
    return 0;
}

static bool word_equal(const char *word, size_t n, const char *name)
{
    if (n > 2 && (*word == '"' || *word == '\'') && word[n - 1] == *word)
        word++, n -= 2;
    return n == strlen(name) && memcmp(word, name, n) == 0;
}

/* At a section's opening brace: writes the implied title if only the name stands before it. */
static void scan_title(struct scan *s)
{
    const char *word = s->statement, *end = s->out;

    while (word < end && strchr(" \t\r\n", *word))
        word++;
    while (word < end && strchr(" \t\r\n", end[-1]))
        end--;
    for (int i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *section = &config_sections[i];
        if (section->untitled && word_equal(word, (size_t)(end - word), section->name))
            s->out += sprintf(s->out, " %s", section->untitled);
    }
}

static void scan_brace(struct scan *s)
{
    if (*s->in == '{' && s->depth++ == 0) {
        scan_title(s);
        s->opened = s->line;
        if (s->lines->n_sections < CONFIG_BRACES)
            s->lines->sections[s->lines->n_sections] = s->line;
        s->lines->n_sections++;
    }
    if (*s->in == '}' && s->depth > 0)
        s->depth--;
}

static int scan_plain(struct scan *s)
{
    unsigned char byte = (unsigned char)*s->in;

    if (byte >= 0x7f || (byte < 0x20 && !strchr("\t\r\n", byte)))
        return err(ERR_CONFIG, "%s:%d: byte 0x%02x outside strings and comments", s->name, s->line,
                   byte);
    if (byte == '*' || byte == '|')
        return err(ERR_CONFIG, "%s:%d: unexpected '%c'; put it in quotes", s->name, s->line, byte);
    if (byte == '$' && s->in[1] == '{')
        return scan_error(s, "'${' is not expanded here; put it in single quotes");
    if (byte == '+' && s->in[1] != '=') { /* of 1e+5 */
        s->in++;
        return 0;
    }
    scan_brace(s);
    scan_copy(s);
    if (byte == '}' && s->depth == 0)
        s->statement = s->out;
    return 0;
}

int config_scan(const char *text, const char *name, char *plain, struct config_lines *lines)
{
    struct scan s = {
        .name = name, .in = text, .out = plain, .statement = plain, .line = 1, .lines = lines};

    lines->n_sections = 0;
    while (*s.in) {
        if (scan_at_comment(&s, plain))
            TRY(scan_comment(&s));
        else if (*s.in == '"' || *s.in == '\'')
            TRY(scan_string(&s));
        else
            TRY(scan_plain(&s));
    }
    *s.out = '\0';
    lines->last = s.line;
    if (s.depth > 0)
        return err(ERR_CONFIG, "%s:%d: the section that starts here does not end", name, s.opened);
    return 0;
}
