/* config.c - reads the file, then --set, then checks sections against each other. */
#include "core/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/base/utf8.h"
#include "core/config/config_internal.h"

enum { FILE_MAX = 1 << 20 };

struct load {
    struct config *c;
    const char *name; /* of the file, for errors */
    struct config_origins origins;
    bool printed; /* for config_print: keys of other methods are allowed */
};

/* Puts FILE:LINE in front of what err() holds. */
static int load_fail(const struct load *l, int line, int code)
{
    return err_within(code, "%.200s:%d", l->name, line);
}

/* The instance that --set section.key=value means if no title is given. */
static int instance_untitled(const struct config_section *s, const struct config *c,
                             const char *last, const char *value)
{
    int n = config_section_count(s, c);

    if (!s->max || (s->untitled && n == 1))
        return 0;
    for (int i = 0; s->untitled && i < n; i++)
        if (strcmp(*(char **)config_section_at(s, c, i), s->untitled) == 0)
            return i;
    return err(ERR_CONFIG, "must name the %s, as in %s.NAME.%s=%.60s", s->name, s->name, last,
               value);
}

static int instance_find(const struct config_section *s, const struct config *c, const char *title)
{
    const char *words[CONFIG_INSTANCES + 1] = {0};
    char hint[NEAREST_HINT];
    int n = config_section_count(s, c);

    for (int i = 0; i < n; i++) {
        words[i] = *(char **)config_section_at(s, c, i);
        if (strcmp(words[i], title) == 0)
            return i;
    }
    return err(ERR_CONFIG, "no %s '%.63s'%s", s->name, title, nearest_hint(title, words, hint));
}

/* Keys that are checked together with others: they name a section or a stage, or belong
 * together. */
static bool is_reference(const char *key)
{
    static const char *const keys[] = {"target",  "old",        "evaluate", "domain",
                                       "start",   "anchor",     "endpoint", "snapshot",
                                       "allowed", "server_key", "insecure", "name"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* place is "section.key" or "section.title.key"; it is overwritten. */
static int set_apply(struct load *l, char *place, const char *value, const char *set)
{
    char *dot = strchr(place, '.'), *last = strrchr(place, '.');
    int i;

    if (!dot)
        return err(ERR_CONFIG, "not of the form section.key=value");
    *dot = *last = '\0';
    const struct config_section *s = config_section_find(place);
    if (!s)
        return config_unknown_section(l->c->table, place);
    if (!s->max && dot != last)
        return err(ERR_CONFIG, "section '%s' has no name, write %s.%s=%.60s", place, place,
                   last + 1, value);
    TRY(i = dot != last ? instance_find(s, l->c, dot + 1)
                        : instance_untitled(s, l->c, last + 1, value));
    const struct config_key *k = config_key_find(l->c->table, place, last + 1);
    if (!k)
        return config_unknown_key(l->c->table, place, last + 1);
    TRY(config_origins_note(&l->origins, l->c, k, config_section_at(s, l->c, i), set));
    TRY(config_key_set(k, config_section_at(s, l->c, i), value));
    /* A key with the name of a section refers to one of those sections. */
    if (config_section_find(k->name) || is_reference(k->name) || strstr(k->name, "_min") ||
        strstr(k->name, "_max"))
        l->origins.of[s - config_sections][i].set = set;
    return 0;
}

static int load_set(struct load *l, const char *set)
{
    char place[256];
    size_t n = strcspn(set, "=");
    int code;

    if (!set[n] || n >= sizeof place) {
        code = err(ERR_CONFIG, "not of the form section.key=value");
    } else {
        memcpy(place, set, n);
        place[n] = '\0';
        code = set_apply(l, place, set + n + 1, set);
    }
    return code < 0 ? err_within(code, "--set '%.200s'", set) : 0;
}

/* what: "data" or "model" */
static int use_check(const struct config *c, const char *user, const char *what, const char *name)
{
    const struct config_section *s = config_section_find(what);
    const char *words[CONFIG_INSTANCES + 1] = {0};
    char hint[NEAREST_HINT];

    for (int i = 0; i < config_section_count(s, c); i++) {
        words[i] = *(char **)config_section_at(s, c, i);
        if (strcmp(words[i], name) == 0)
            return 0;
    }
    return err(ERR_CONFIG, "%s uses %s '%.63s', which is not defined%s", user, what, name,
               nearest_hint(name, words, hint));
}

/* A stage named by a later one. */
static int earlier_check(const struct config *c, int i, const char *key, const char *name)
{
    const char *words[CONFIG_STAGE_MAX + 1] = {0};
    char hint[NEAREST_HINT];

    for (int j = 0; j < i; j++) {
        words[j] = c->stages[j].name;
        if (strcmp(words[j], name) == 0)
            return 0;
    }
    if (!*name)
        return 0;
    return err(ERR_CONFIG, "stage '%s': %s '%.63s' is not an earlier stage%s", c->stages[i].name,
               key, name, nearest_hint(name, words, hint));
}

static int uses_check(const struct config *c, const char *user, const struct strings *names)
{
    for (int i = 0; i < names->n; i++)
        TRY(use_check(c, user, "data", names->items[i]));
    return 0;
}

static int stage_check(const struct load *l, int i)
{
    const struct config *c = l->c;
    const struct stage_config *s = &c->stages[i];
    char user[CONFIG_TITLE_MAX + 16];

    if (s->data.n == 0)
        return err(ERR_CONFIG, "stage '%s' has no 'data'", s->name);
    snprintf(user, sizeof user, "stage '%s'", s->name);
    TRY(uses_check(c, user, &s->data));
    TRY(uses_check(c, user, &s->target));
    TRY(uses_check(c, user, &s->evaluate));
    TRY(uses_check(c, user, &s->old));
    TRY(earlier_check(c, i, "start", s->start));
    TRY(earlier_check(c, i, "anchor", s->anchor));
    return *s->model ? use_check(c, user, "model", s->model) : 0;
}

static int bounds_check(const char *name, const char *key, double min, double max)
{
    if (min <= max)
        return 0;
    return err(ERR_CONFIG, "data '%s' has %s_min %.10g above %s_max %.10g", name, key, min, key,
               max);
}

static int ranges_check(const struct load *l, int i)
{
    const struct config *c = l->c;
    const struct data_config *d = &c->data[i];
    char user[CONFIG_TITLE_MAX + 16];

    snprintf(user, sizeof user, "data '%s'", d->name);
    if (*d->domain)
        TRY(use_check(c, user, "data", d->domain));
    TRY(bounds_check(d->name, "amplitude", d->amplitude_min, d->amplitude_max));
    TRY(bounds_check(d->name, "phase", d->phase_min, d->phase_max));
    return bounds_check(d->name, "x", d->x_min, d->x_max);
}

static int evaluate_check(const struct load *l, int i)
{
    const struct config *c = l->c;

    (void)i;
    for (int j = 0; j < c->evaluate.data.n; j++)
        TRY(use_check(c, "section 'evaluate'", "data", c->evaluate.data.items[j]));
    return 0;
}

/* True if the text, which is UTF-8, holds a C0, DEL or C1 control character. */
static bool has_control(const char *text)
{
    uint32_t code;

    for (int n; *text && (n = utf8_read(text, &code)) > 0; text += n)
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            return true;
    return false;
}

/* The name becomes the name of a folder: runs/NAME, and directories of observers. */
static int name_check(const struct load *l, int i)
{
    const char *name = l->c->run.name;

    (void)i;
    if (*name == '.')
        return err(ERR_CONFIG, "run.name '%.200s' begins with a dot", name);
    if (strchr(name, '/'))
        return err(ERR_CONFIG,
                   "run.name '%.200s' holds a '/': it is a name, not a path; run.directory sets "
                   "the directory",
                   name);
    if (has_control(name))
        return err(ERR_CONFIG, "run.name holds a control character");
    return 0;
}

static int metrics_check(const struct load *l, int i)
{
    return config_metrics_check(l->c, i);
}

/* Checks between sections, after the last --set. */
static int load_check(struct load *l)
{
    static const struct {
        const char *section;
        int (*check)(const struct load *l, int i);
    } checks[] = {{"run", name_check},
                  {"data", ranges_check},
                  {"stage", stage_check},
                  {"evaluate", evaluate_check},
                  {"metrics", metrics_check}};

    if (l->c->n_stages == 0)
        return load_fail(l, l->origins.last_line,
                         err(ERR_CONFIG, "no 'stage' section: nothing to run"));
    for (size_t j = 0; j < sizeof checks / sizeof *checks; j++) {
        const struct config_section *s = config_section_find(checks[j].section);
        for (int i = 0; i < config_section_count(s, l->c); i++) {
            const struct config_origin *o = &l->origins.of[s - config_sections][i];
            int code = checks[j].check(l, i);
            if (code < 0 && o->set)
                return err_within(code, "--set '%.200s'", o->set);
            if (code < 0)
                return load_fail(l, o->line, code);
        }
    }
    return 0;
}

/* A key that a stage gives and its method, or its loss, does not take. */
static int key_refuse(const struct load *l, int i, const struct config_key *k, const char *set)
{
    const struct stage_config *s = &l->c->stages[i];
    int code = err_within(config_key_refuse(l->c->table, k, s), "stage '%s'", s->name);

    if (*set)
        return err_within(code, "--set '%.200s'", set);
    return load_fail(l, l->origins.of[config_section_find("stage") - config_sections][i].line,
                     code);
}

static int owners_check(const struct load *l)
{
    const struct config_table *t = l->c->table;

    for (int i = 0; i < l->c->n_stages && !l->printed; i++) {
        const char *const *given = (const char *const *)l->origins.given[i];

        for (int k = 0; given && k < t->n; k++)
            if (given[k] && !config_key_is_taken(t, &t->rows[k], &l->c->stages[i]))
                return key_refuse(l, i, &t->rows[k], given[k]);
    }
    return 0;
}

/* An empty run.directory means runs/NAME. */
static int directory_fill(struct run_config *run)
{
    char *directory;

    if (*run->directory)
        return 0;
    if (asprintf(&directory, "runs/%s", run->name) < 0)
        return err(ERR_MEMORY, "out of memory");
    free(run->directory);
    run->directory = directory;
    return 0;
}

static int load_run(struct load *l, const char *text, const char *const *sets, int n_sets)
{
    for (int i = 0; i < CONFIG_SECTIONS; i++)
        if (!config_sections[i].max)
            TRY(config_section_init(l->c->table, &config_sections[i],
                                    config_section_at(&config_sections[i], l->c, 0)));
    if (strlen(text) > FILE_MAX)
        return err(ERR_CONFIG, "%.200s:1: longer than %d bytes", l->name, FILE_MAX);
    TRY(config_syntax(l->c, text, l->name, &l->origins));
    if (l->c->n_models == 0)
        TRY(config_section_add(config_section_find("model"), l->c, "model"));
    for (int i = 0; i < n_sets; i++)
        TRY(load_set(l, sets[i]));
    TRY(load_check(l));
    TRY(owners_check(l));
    return directory_fill(&l->c->run);
}

static int table_new(struct config *c, config_owners *owners)
{
    memset(c, 0, sizeof *c);
    c->owners = owners;
    c->table = calloc(1, sizeof *c->table);
    return c->table ? config_table_init(c->table, owners) : err(ERR_MEMORY, "out of memory");
}

static int load(struct load *l, const char *text, const char *const *sets, int n_sets,
                config_owners *owners)
{
    int code = table_new(l->c, owners);

    if (code == 0)
        code = load_run(l, text, sets, n_sets);
    for (int i = 0; i < CONFIG_STAGE_MAX; i++)
        free(l->origins.given[i]);
    if (code < 0)
        config_release(l->c);
    return code;
}

int config_parse(struct config *c, const char *text, const char *name, const char *const *sets,
                 int n_sets, config_owners *owners)
{
    struct load l = {.c = c, .name = name};

    return load(&l, text, sets, n_sets, owners);
}

int config_recall(struct config *c, const char *text, const char *name, const char *const *sets,
                  int n_sets, config_owners *owners)
{
    struct load l = {.c = c, .name = name, .printed = true};

    return load(&l, text, sets, n_sets, owners);
}

const void *config_own(const struct config *c, const struct stage_config *s, const char *kind)
{
    return (const char *)s->own + config_table_own(c->table, s, kind);
}

int config_set_directory(struct config *c, const char *directory)
{
    if (!*directory)
        return err(ERR_CONFIG, "the run's directory is ''");
    return config_key_set(config_key_find(c->table, "run", "directory"), &c->run, directory);
}

int config_set_domain(struct config *c, const char *domain)
{
    TRY(use_check(c, "--domain", "data", domain));
    return config_key_set(config_key_find(c->table, "evaluate", "data"), &c->evaluate, domain);
}

/* The line of the first zero byte, 0 if there is none. */
static int zero_line(const char *text, size_t n)
{
    const char *zero = memchr(text, 0, n);
    int line = 1;

    for (const char *p = text; zero && p < zero; p++)
        line += *p == '\n';
    return zero ? line : 0;
}

static int text_read(const char *path, char *text)
{
    FILE *f = fopen(path, "r");

    if (!f)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    size_t n = fread(text, 1, FILE_MAX + 1, f);
    int code = ferror(f) ? err(ERR_NOINPUT, "cannot read '%s': %s", path, strerror(errno)) : 0;
    fclose(f);
    TRY(code);
    text[n] = '\0';
    int line = zero_line(text, n);
    return line ? err(ERR_CONFIG, "%.200s:%d: zero byte", path, line) : 0;
}

static int file_load(struct load *l, const char *const *sets, int n_sets, config_owners *owners)
{
    char *text = malloc(FILE_MAX + 2);

    memset(l->c, 0, sizeof *l->c);
    if (!text)
        return err(ERR_MEMORY, "out of memory");
    int code = text_read(l->name, text);
    if (code == 0)
        code = load(l, text, sets, n_sets, owners);
    free(text);
    return code;
}

int config_read(struct config *c, const char *path, const char *const *sets, int n_sets,
                config_owners *owners)
{
    struct load l = {.c = c, .name = path};

    return file_load(&l, sets, n_sets, owners);
}

int config_recall_file(struct config *c, const char *path, config_owners *owners)
{
    struct load l = {.c = c, .name = path, .printed = true};

    return file_load(&l, NULL, 0, owners);
}

void config_release(struct config *c)
{
    if (!c->table)
        return;
    for (int i = 0; i < CONFIG_SECTIONS; i++)
        for (int j = 0; j < config_section_count(&config_sections[i], c); j++)
            config_section_release(c->table, &config_sections[i],
                                   config_section_at(&config_sections[i], c, j));
    config_table_release(c->table);
    free(c->table);
    memset(c, 0, sizeof *c);
}

const struct data_config *config_find_data(const struct config *c, const char *name)
{
    for (int i = 0; i < c->n_data; i++)
        if (strcmp(c->data[i].name, name) == 0)
            return &c->data[i];
    return NULL;
}

const struct model_config *config_find_model(const struct config *c, const char *name)
{
    for (int i = 0; i < c->n_models; i++)
        if (!*name || strcmp(c->models[i].name, name) == 0)
            return &c->models[i];
    return NULL;
}

const struct stage_config *config_find_stage(const struct config *c, const char *name)
{
    for (int i = 0; i < c->n_stages; i++)
        if (strcmp(c->stages[i].name, name) == 0)
            return &c->stages[i];
    return NULL;
}
