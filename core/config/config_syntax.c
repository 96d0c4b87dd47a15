/* config_syntax.c - libconfuse reads the syntax and calls back; the rows do the rest. It keeps its
 * state in globals, hence the lock. */
#include <confuse.h>
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

struct syntax_reader {
    struct config *c;
    const char *name; /* of the file, for errors */
    int code;         /* why libconfuse was told to stop */
    struct config_lines lines;
    int n_opened;                         /* sections so far */
    const struct config_section *section; /* open now, or NULL */
    void *base;                           /* its struct */
    bool *seen;                           /* owned (rows): its keys so far */
    struct config_origins *origins;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct syntax_reader *reader; /* libconfuse's callbacks take no pointer of ours */

/* Puts FILE:LINE in front of what err() holds. */
static int reader_fail(struct syntax_reader *r, int line, int code)
{
    return r->code = err_within(code, "%.200s:%d", r->name, line);
}

static int title_check(const struct config_section *s, const char *title)
{
    size_t n = strlen(title);

    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)title[i]) && title[i] != '_' && title[i] != '-')
            return err(ERR_CONFIG,
                       "the name '%.63s' of a '%s' section may hold only letters, "
                       "digits, '_' and '-'",
                       title, s->name);
    if (n < 1 || n > CONFIG_TITLE_MAX)
        return err(ERR_CONFIG, "the name of a '%s' section has %zu characters, must have 1 to %d",
                   s->name, n, CONFIG_TITLE_MAX);
    return 0;
}

static int section_add(struct syntax_reader *r, const struct config_section *s, const char *title)
{
    TRY(title_check(s, title));
    TRY(config_section_add(s, r->c, title));
    r->base = config_section_at(s, r->c, config_section_count(s, r->c) - 1);
    return 0;
}

/* libconfuse does not report the start of a section, so its first key, or else its end, opens
 * it. */
static int section_open(struct syntax_reader *r, const char *name, const char *title)
{
    const struct config_section *s = config_section_find(name);
    int line = r->lines.sections[r->n_opened < CONFIG_BRACES ? r->n_opened : CONFIG_BRACES - 1];

    r->section = s;
    r->n_opened++;
    memset(r->seen, 0, (size_t)r->c->table->n * sizeof *r->seen);
    r->base = config_section_at(s, r->c, 0);
    int code = s->max ? section_add(r, s, title) : 0;
    if (code < 0)
        return reader_fail(r, line, code);
    int i = config_section_count(s, r->c) - 1;
    struct config_origin *origin = &r->origins->of[s - config_sections][i];
    if (origin->line)
        return reader_fail(r, line, err(ERR_CONFIG, "a second section '%s'", name));
    origin->line = line;
    return 0;
}

/* n: items of the list that are already read. */
static int key_read(struct syntax_reader *r, const struct config_key *k, const char *value,
                    unsigned n)
{
    if (config_key_is_list(k))
        return config_key_check_item(k, value, (int)n);
    if (r->seen[k - r->c->table->rows])
        return err(ERR_CONFIG, "'%s' is given twice", k->name);
    r->seen[k - r->c->table->rows] = true;
    return config_key_set(k, r->base, value);
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct syntax_reader *r = reader;
    const struct config_key *k = config_key_find(r->c->table, cfg->name, opt->name);

    *(const char **)result = value;
    if (!k) /* "section|key", libconfuse's own notation */
        return reader_fail(r, cfg->line, err(ERR_CONFIG, "'%s' outside a section", opt->name));
    if (!r->section && section_open(r, cfg->name, cfg->title) < 0)
        return -1;
    int code = config_origins_note(r->origins, r->c, k, r->base, "");
    if (code == 0)
        code = key_read(r, k, value, opt->nvalues - 1);
    return code < 0 ? reader_fail(r, cfg->line, code) : 0;
}

static int list_take(const struct config_key *k, void *field, const cfg_opt_t *opt)
{
    config_list_release(k, field);
    for (unsigned i = 0; i < opt->nvalues; i++)
        TRY(config_list_add(k, field, opt->values[i]->string));
    return 0;
}

/* At the end of a section: libconfuse reports an empty list only here. */
static int on_section(cfg_t *root, cfg_opt_t *opt)
{
    struct syntax_reader *r = reader;
    cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

    if (!r->section && section_open(r, section->name, section->title) < 0)
        return -1;
    for (cfg_opt_t *o = section->opts; o->name; o++) {
        const struct config_key *k = config_key_find(r->c->table, section->name, o->name);
        if (!(o->flags & CFGF_LIST) || !(o->flags & CFGF_MODIFIED))
            continue;
        int code = config_origins_note(r->origins, r->c, k, r->base, "");
        if (code == 0)
            code = list_take(k, config_key_field(k, r->base), o);
        if (code < 0)
            return reader_fail(r, root->line, code);
    }
    r->section = NULL;
    return 0;
}

static int unknown_name(const char *section, const char *name)
{
    if (strcmp(section, "root") != 0)
        return config_unknown_key(reader->c->table, section, name);
    if (config_section_find(name))
        return err(ERR_CONFIG, "a name may not hold '|'");
    return config_unknown_section(reader->c->table, name);
}

/* For a name in quotes: true if a section of that name may have no title. */
static bool untitled(const char *subject)
{
    for (int i = 0; subject && i < CONFIG_SECTIONS; i++)
        if (config_sections[i].untitled &&
            strncmp(config_sections[i].name, subject + 1, strlen(subject) - 2) == 0)
            return true;
    return false;
}

static void on_error(cfg_t *cfg, const char *fmt, va_list args)
{
    char text[256];
    int code;

    vsnprintf(text, sizeof text, fmt, args);
    char *subject = strchr(text, '\''), *end = strrchr(text, '\'');
    if (strncmp(text, "no such option", 14) == 0 && subject) {
        subject[end > subject ? end - subject : (ptrdiff_t)strlen(subject)] = '\0';
        code = unknown_name(cfg->name, subject + 1);
    } else if (strncmp(text, "found duplicate title", 21) == 0 && subject) {
        code = err(ERR_CONFIG, "a second section with the name %s", subject);
    } else if (strncmp(text, "missing title", 13) == 0 && untitled(subject)) {
        code = err(ERR_CONFIG, "missing opening brace for section %s", subject);
    } else {
        code = err(ERR_CONFIG, "%s", text);
    }
    reader_fail(reader, cfg->line, code);
}

/* The line that the parser reached: a section's line is its parent's only once it ends. */
static int furthest_line(cfg_t *cfg)
{
    int line = cfg->line;

    for (cfg_opt_t *o = cfg->opts; o->name; o++)
        for (unsigned i = 0; i < cfg_opt_size(o); i++)
            if (cfg_opt_getnsec(o, i)->line > line)
                line = cfg_opt_getnsec(o, i)->line;
    return line;
}

static int confuse_run(const char *plain)
{
    cfg_opt_t root[CONFIG_SECTIONS + 1] = {CFG_END()};
    const struct config_table *t = reader->c->table;
    cfg_opt_t *options = calloc((size_t)t->n + CONFIG_SECTIONS, sizeof *options), *o = options;

    if (!options)
        return err(ERR_MEMORY, "out of memory");
    for (int i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *s = &config_sections[i];
        int titled = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
        root[i] = (cfg_opt_t)CFG_SEC(s->name, o, CFGF_NODEFAULT | (s->max ? titled : 0));
        root[i].validcb = on_section;
        for (const struct config_key *k = t->rows; k->name; k++) {
            bool list = config_key_is_list(k);
            int flags = CFGF_NODEFAULT | (list ? CFGF_LIST : 0);
            if (strcmp(k->section, s->name) == 0)
                *o++ = (cfg_opt_t)CFG_STR_CB(k->name, NULL, flags, on_value);
        }
        *o++ = (cfg_opt_t)CFG_END();
    }
    root[CONFIG_SECTIONS] = (cfg_opt_t)CFG_END();

    cfg_t *cfg = cfg_init(root, CFGF_NONE);
    if (!cfg) {
        free(options);
        return err(ERR_MEMORY, "out of memory");
    }
    cfg_set_error_function(cfg, on_error);
    int code = cfg_parse_buf(cfg, plain) == CFG_SUCCESS ? 0 : ERR_CONFIG;
    if (code < 0 && reader->code == 0) /* the one refusal libconfuse has no sentence for */
        reader_fail(reader, furthest_line(cfg), err(ERR_CONFIG, "an empty string as a name"));
    cfg_free(cfg);
    free(options);
    return code;
}

int config_syntax(struct config *c, const char *text, const char *name,
                  struct config_origins *origins)
{
    struct syntax_reader r = {.c = c, .name = name, .origins = origins};
    char *plain = malloc(2 * strlen(text) + 1);
    int code = plain ? 0 : err(ERR_MEMORY, "out of memory");

    r.seen = calloc((size_t)c->table->n, sizeof *r.seen);
    if (code == 0 && !r.seen)
        code = err(ERR_MEMORY, "out of memory");
    if (code == 0)
        code = config_scan(text, name, plain, &r.lines);
    if (code == 0) {
        origins->last_line = r.lines.last;
        pthread_mutex_lock(&lock);
        reader = &r;
        code = confuse_run(plain);
        reader = NULL;
        pthread_mutex_unlock(&lock);
    }
    free(plain);
    free(r.seen);
    return code < 0 && r.code < 0 ? r.code : code;
}
