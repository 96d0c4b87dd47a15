/* test_config_methods.c - keys that belong to some methods or losses: taken in their stages,
 * refused in others', and a method's own are parsed, checked, printed, compared and documented like
 * core's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"
#include "worker/method/table.h"

#define STAGE(method, keys) "data d { }\nstage s { data = d  method = " method "\n " keys "}\n"

struct bread {
    char *flour;
    double salt;
    struct strings seeds;
};

struct cake {
    int64_t eggs;
};

#define BREAD(f) offsetof(struct bread, f)
static const struct config_key bread_keys[] = {
    {"stage", "flour", CONFIG_STRING, "rye", 0, CONFIG_LENGTH, "rye|wheat", BREAD(flour),
     "kind of flour"},
    {"stage", "salt", CONFIG_REAL, "2", 0, 10, NULL, BREAD(salt), "grams of salt", true},
    {"stage", "seeds", CONFIG_LIST, "", 0, 0, NULL, BREAD(seeds), "names of seeds"},
    {0}};
static const struct config_key cake_keys[] = {
    {"stage", "eggs", CONFIG_INT, "3", 0, 9, NULL, offsetof(struct cake, eggs), "number of eggs"},
    {0}};

struct plate {
    double width;
    struct reals sizes;
};

static const struct config_key plate_keys[] = {
    {"stage", "width", CONFIG_REAL, "1", 0, 9, NULL, offsetof(struct plate, width), "width"},
    {"stage", "sizes", CONFIG_REALS, "0.5,2", 0, 9, NULL, offsetof(struct plate, sizes), "sizes"},
    {0}};

static const char *const bread_takes[] = {"temperature", NULL}, *const cake_takes[] = {
                                                                    "temperature", "way", NULL};

static struct config_owner kitchen(int i)
{
    static const struct config_owner all[] = {
        {"method", "bread", bread_takes, bread_keys, sizeof(struct bread)},
        {"method", "cake", cake_takes, cake_keys, sizeof(struct cake)},
        {"loss", "mse", NULL, NULL, 0},
        {"loss", "huber", NULL, plate_keys, sizeof(struct plate)},
        {0}};

    return all[i];
}

static struct config parsed(const char *text)
{
    struct config c;

    if (config_parse(&c, text, "f.conf", NULL, 0, kitchen) < 0)
        fail_msg("%s", err_text());
    return c;
}

static void refused(const char *text, const char *set, const char *sentence)
{
    struct config c;

    assert_int_equal(config_parse(&c, text, "f.conf", &set, set != NULL, kitchen), ERR_CONFIG);
    assert_string_equal(err_text(), sentence);
}

static void test_values(void **state)
{
    struct config c = parsed(
        STAGE("bread", "flour = wheat salt = 1.5 seeds = {\"flax\", \"poppy\"} temperature = 9"));
    const struct bread *b = config_own(&c, &c.stages[0], "method");

    (void)state;
    assert_string_equal(b->flour, "wheat");
    assert_true(b->salt == 1.5 && b->seeds.n == 2);
    assert_string_equal(b->seeds.items[1], "poppy");
    config_release(&c);
    c = parsed(STAGE("cake", "way = 7"));
    assert_int_equal(((const struct cake *)config_own(&c, &c.stages[0], "method"))->eggs, 3);
    config_release(&c);
}

/* The method may stand behind its keys, and a later --set may change it. */
static void test_order(void **state)
{
    static const char text[] = "data d { }\nstage s { data = d  eggs = 4  method = cake }\n";
    const char *sets[] = {"stage.s.method=bread"};
    struct config c = parsed(text);

    (void)state;
    assert_int_equal(((const struct cake *)config_own(&c, &c.stages[0], "method"))->eggs, 4);
    config_release(&c);
    assert_int_equal(config_parse(&c, text, "f.conf", sets, 1, kitchen), ERR_CONFIG);
    assert_string_equal(err_text(),
                        "f.conf:2: stage 's': 'eggs' is a key of method cake, not of 'bread'");
}

static void test_refused(void **state)
{
    (void)state;
    refused(STAGE("bread", "eggs = 3 "), NULL,
            "f.conf:2: stage 's': 'eggs' is a key of method cake, not of 'bread'");
    refused(STAGE("cake", "seeds = {} "), NULL,
            "f.conf:2: stage 's': 'seeds' is a key of method bread, not of 'cake'");
    refused(STAGE("bread", "way = 5 "), NULL,
            "f.conf:2: stage 's': 'way' is a key of method cake, not of 'bread'");
    refused(STAGE("bread", ""), "stage.s.eggs=3",
            "--set 'stage.s.eggs=3': stage 's': 'eggs' is a key of method cake, not of 'bread'");
    refused(STAGE("bread", "flour = oat "), NULL,
            "f.conf:3: 'flour' is 'oat', must be one of rye, wheat");
    refused(STAGE("bread", "salt = 11 "), NULL, "f.conf:3: 'salt' is 11, must be between 0 and 10");
    refused(STAGE("bread", "salz = 1 "), NULL,
            "f.conf:3: unknown key 'salz' in section 'stage', did you mean 'salt'?");
}

/* A loss has keys as a method has: whatever the method is. */
static void test_losses(void **state)
{
    struct config c = parsed(STAGE("bread", "loss = huber  width = 3  sizes = {1, 0.25}"));
    const struct plate *p = config_own(&c, &c.stages[0], "loss");
    char *text = config_text(&c);

    (void)state;
    assert_true(p->width == 3 && p->sizes.text.n == 2);
    assert_true(p->sizes.v[0] == 1 && p->sizes.v[1] == 0.25);
    assert_non_null(strstr(text, "sizes = {\"1\", \"0.25\"}"));
    free(text);
    config_release(&c);
    c = parsed(STAGE("cake", "loss = huber"));
    p = config_own(&c, &c.stages[0], "loss");
    assert_true(p->width == 1 && p->sizes.v[0] == 0.5 && p->sizes.v[1] == 2);
    config_release(&c);
    c = parsed(STAGE("cake", "loss = mse"));
    text = config_text(&c);
    assert_null(strstr(text, " width = "));
    free(text);
    config_release(&c);
    refused(STAGE("bread", "width = 3 "), NULL,
            "f.conf:2: stage 's': 'width' is a key of loss huber, not of ''");
    refused(STAGE("bread", "loss = mse width = 3 "), NULL,
            "f.conf:2: stage 's': 'width' is a key of loss huber, not of 'mse'");
    refused(STAGE("bread", "loss = huber sizes = {1, 10} "), NULL,
            "f.conf:3: 'sizes' is 10, must be between 0 and 9");
}

/* Core's keys that no method claims are everybody's, and so are all keys of a method that is not
 * known here. */
static void test_everybodys(void **state)
{
    struct config c = parsed(STAGE("bread", "rate = 0.5"));

    (void)state;
    config_release(&c);
    c = parsed(STAGE("soup", "way = 5 eggs = 2 flour = rye"));
    config_release(&c);
}

/* What is printed is what is taken, and reads back to the same; an earlier version's text has all
 * keys. */
static void test_printed(void **state)
{
    struct config c = parsed(STAGE("bread", "flour = wheat seeds = {\"flax\"}")), again;
    char *text = config_text(&c), *twice;

    (void)state;
    assert_non_null(strstr(text, "    flour = \"wheat\"\n"));
    assert_non_null(strstr(text, "    seeds = {\"flax\"}\n"));
    assert_null(strstr(text, "eggs"));
    assert_null(strstr(text, " way = "));
    again = parsed(text);
    twice = config_text(&again);
    assert_string_equal(text, twice);
    config_release(&again);
    assert_int_equal(
        config_recall(&again, STAGE("bread", "eggs = 3 way = 5"), "f", NULL, 0, kitchen), 0);
    config_release(&again);
    config_release(&c);
    free(text);
    free(twice);
}

static void note(void *context, const struct config_change *change)
{
    char *text = context;

    sprintf(text + strlen(text), "%s %s %s %d;", change->key, change->before, change->now,
            change->allowed);
}

static void test_compared(void **state)
{
    struct config a = parsed(STAGE("bread", "salt = 1")),
                  b = parsed(STAGE("bread", "salt = 3 flour = wheat"));
    char text[512] = "";

    (void)state;
    assert_int_equal(config_compare(&a, &b, note, text), 0);
    assert_string_equal(text, "stage.s.flour \"rye\" \"wheat\" 0;stage.s.salt 1 3 1;");
    config_release(&a);
    config_release(&b);
}

static void test_documented(void **state)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    assert_int_equal(config_document(out, true, kitchen), 0);
    fclose(out);
    assert_non_null(strstr(text, "bread: grams of salt"));
    assert_non_null(strstr(text, "bread, cake: "));
    free(text);
}

/* The real ones: no name twice in the section, every key that a method takes is there, defaults are
 * good. */
static void test_methods(void **state)
{
    struct config_table t;

    (void)state;
    assert_int_equal(config_table_init(&t, stage_owner), 0);
    for (const struct config_key *k = t.rows; k->name; k++)
        assert_ptr_equal(config_key_find(&t, k->section, k->name), k);
    for (int i = 0; stage_owner(i).name; i++) {
        struct config_owner m = stage_owner(i);
        char text[256];
        struct config c;

        for (const char *const *name = m.takes; name && *name; name++)
            if (!config_key_find(&t, "stage", *name) || config_key_find(&t, "stage", *name)->owner)
                fail_msg("method '%s' takes '%s'", m.name, *name);
        for (const struct config_key *k = m.keys; k && k->name; k++)
            assert_true(k->offset < m.size && strcmp(k->section, "stage") == 0 && k->preset);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(m.name, stage_owner(j).name);
        snprintf(text, sizeof text, "data d { }\nstage s { data = d  %s = %s }\n", m.chosen_by,
                 m.name);
        assert_int_equal(config_parse(&c, text, "f", NULL, 0, stage_owner), 0);
        config_release(&c);
    }
    config_table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_everybodys),
        cmocka_unit_test(test_losses),   cmocka_unit_test(test_printed),
        cmocka_unit_test(test_compared), cmocka_unit_test(test_documented),
        cmocka_unit_test(test_methods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
