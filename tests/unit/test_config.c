/* test_config.c - what is read, and every refusal with its line and its suggestion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

#define SMALL "data d {}\nstage s { data = d }\n"

static void refused(const char *text, const char *sentence)
{
    struct config c, empty = {0};

    assert_int_equal(config_parse(&c, text, "f.conf", NULL, 0, NULL), ERR_CONFIG);
    assert_string_equal(err_text(), sentence);
    assert_memory_equal(&c, &empty, sizeof c);
}

static void set_refused(const char *text, const char *set, const char *sentence)
{
    char path[] = "/tmp/test_config_XXXXXX";
    int fd = mkstemp(path);
    struct config c;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(config_read(&c, path, &set, 1, NULL), ERR_CONFIG);
    assert_string_equal(err_text(), sentence);
    unlink(path);
}

static int read_bytes(struct config *c, const char *text, size_t n, const char *const *sets,
                      int n_sets)
{
    char path[64];

    snprintf(path, sizeof path, "/tmp/test_config.%ld", (long)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    int code = config_read(c, path, sets, n_sets, NULL);
    unlink(path);
    return code;
}

static void accepted(struct config *c, const char *text)
{
    int code = config_parse(c, text, "f.conf", NULL, 0, NULL);

    if (code < 0)
        print_error("%s\n", err_text());
    assert_int_equal(code, 0);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config c;

    accepted(&c, SMALL);
    assert_string_equal(c.run.name, "run");
    assert_string_equal(c.run.directory, "runs/run");
    assert_int_equal(c.run.seed, 1);
    assert_string_equal(c.cluster.schedule, "dynamic");
    assert_int_equal(c.n_data, 1);
    assert_string_equal(c.data[0].name, "d");
    assert_string_equal(c.data[0].format, "glyphs");
    assert_int_equal(c.data[0].classes.n, 0);
    assert_false(c.data[0].invert);
    assert_true(c.data[0].phase_max == 3.14159265358979);
    assert_int_equal(c.models[0].widths.n, 2);
    assert_int_equal(c.n_models, 1);
    assert_string_equal(c.models[0].name, "model");
    assert_string_equal(c.models[0].widths.items[1], "40");
    assert_string_equal(c.stages[0].model, "");
    assert_int_equal(c.n_stages, 1);
    assert_string_equal(c.stages[0].method, "maml");
    assert_string_equal(c.stages[0].data.items[0], "d");
    assert_string_equal(c.stages[0].loss, "");
    assert_true(c.stages[0].inner_rate == 0.4 && c.stages[0].epsilon == 1e-8);
    assert_int_equal(c.evaluate.episodes, 600);
    assert_int_equal(c.checkpoint.keep, 3);
    assert_true(c.progress.every == 10);
    assert_ptr_equal(config_find_data(&c, "d"), &c.data[0]);
    assert_ptr_equal(config_find_stage(&c, "s"), &c.stages[0]);
    assert_null(config_find_data(&c, "s"));
    config_release(&c);
    config_release(&c);
}

static void test_comments_and_quotes(void **state)
{
    (void)state;
    struct config c;

    accepted(
        &c,
        "# one \xc3\xa9\n// two\n/* three\n \" */ run { # in a section\r\n"
        "  name = # before a value\n 'a\\'b ${HOME} #'\n directory = \"\\x41\\101\\${x} // \\\\\" "
        "}\n"
        "data d { path = runs//x/y  labels = tcp://h/p names = \"two\nlines\" }\n"
        "model { widths = { 1, # inside a list\n 2 /* and */, 3 } layers = {}\n layers += {a} }\n"
        "stage s { data = d rate = 1e-3 clip = 1e+2 inner_rate = \"0.5\" }\n"
        "evaluate{data={d}}");
    assert_string_equal(c.run.name, "a'b ${HOME} #");
    assert_string_equal(c.run.directory, "AA${x} // \\");
    assert_string_equal(c.data[0].path, "runs//x/y");
    assert_string_equal(c.data[0].labels, "tcp://h/p");
    assert_string_equal(c.data[0].names, "two\nlines");
    assert_int_equal(c.models[0].widths.n, 3);
    assert_string_equal(c.models[0].widths.items[2], "3");
    assert_int_equal(c.models[0].layers.n, 1);
    assert_true(c.stages[0].rate == 1e-3 && c.stages[0].clip == 100 &&
                c.stages[0].inner_rate == 0.5);
    assert_int_equal(c.evaluate.data.n, 1);
    config_release(&c);

    accepted(&c, SMALL
             "run { seed = 1 } stage t { data = d way = 2 }"); /* each 'data' once a section */
    assert_int_equal(c.stages[1].way, 2);
    config_release(&c);
    accepted(&c, SMALL "model { widths = {} }");
    assert_int_equal(c.models[0].widths.n, 0);
    config_release(&c);
}

/* The same where the name is left out, whatever stands between it and the brace. */
static void test_models(void **state)
{
    (void)state;
    static const char *const untitled[] = {
        "model {",           "model{",     "model\n# {\n\t{", "'model' {",
        "/**/model /* {*/{", "\"model\"{", "model model {"};
    struct config c;

    for (size_t i = 0; i < sizeof untitled / sizeof *untitled; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "data model { path = 'model {' }%s filters = 3 }\nmodel teacher { filters = 7 }\n"
                 "stage a { data = model } stage b { data = model model = teacher }\n"
                 "stage model { data = model model = model }",
                 untitled[i]);
        accepted(&c, text);
        assert_int_equal(c.n_models, 2);
        assert_string_equal(c.models[0].name, "model");
        assert_int_equal(c.models[0].filters, 3);
        assert_string_equal(c.models[1].name, "teacher");
        assert_int_equal(c.models[1].filters, 7);
        assert_string_equal(c.data[0].path, "model {");
        assert_ptr_equal(config_find_model(&c, c.stages[0].model), &c.models[0]);
        assert_ptr_equal(config_find_model(&c, c.stages[1].model), &c.models[1]);
        assert_ptr_equal(config_find_model(&c, c.stages[2].model), &c.models[0]);
        assert_null(config_find_model(&c, "none"));
        config_release(&c);
    }
    accepted(&c, "model a { filters = 3 } model { filters = 4 }" SMALL);
    assert_int_equal(config_find_model(&c, "")->filters, 3);
    assert_int_equal(config_find_model(&c, "model")->filters, 4);
    config_release(&c);
}

static void test_models_refused(void **state)
{
    (void)state;
    char many[512] = "", title[32];

    refused("data train {}\nmodel {}\nmodel teacher {}\n\nstage s {\n data = train\n"
            " model = techer }",
            "f.conf:5: stage 's' uses model 'techer', which is not defined, did you mean "
            "'teacher'?");
    refused("data d {}\nstage s { data = d model = zzzzzzz }",
            "f.conf:2: stage 's' uses model 'zzzzzzz', which is not defined; there is model");
    refused("model {}\nmodel\n{ }", "f.conf:3: a second section with the name 'model'");
    refused("model {}\n\nmodel model { }", "f.conf:3: a second section with the name 'model'");
    refused("model a {}\nmodel a { }", "f.conf:2: a second section with the name 'a'");
    refused("model # {\n\n{ /*\n*/ type = mlp\n filters = 0 }",
            "f.conf:5: 'filters' is 0, must be between 1 and 4096");
    refused("model{}\nmodel teacher {}\nstage s { way = 0 }",
            "f.conf:3: 'way' is 0, must be between 1 and 4096");
    refused("model\n{\n}\nmodle {}", "f.conf:4: unknown section 'modle', did you mean 'model'?");
    refused("model '' {}",
            "f.conf:1: the name of a 'model' section has 0 characters, must have 1 to 63");
    refused("model a.b {}", "f.conf:1: the name 'a.b' of a 'model' section may hold only letters, "
                            "digits, '_' and '-'");
    refused("\nmodel = {}", "f.conf:2: missing opening brace for section 'model'");
    refused("\nmodel a b {}", "f.conf:2: missing opening brace for section 'model'");
    refused("\nmodel model model {}", "f.conf:2: missing opening brace for section 'model'");
    for (int i = 0; i <= CONFIG_MODEL_MAX; i++) {
        snprintf(title, sizeof title, i ? "model m%d {}\n" : "model {}\n", i);
        strcat(many, title);
    }
    refused(many, "f.conf:9: more than 8 'model' sections");
}

static void test_unknown(void **state)
{
    (void)state;
    refused(SMALL "stage t {\n # a comment\n /* and\n another */\n inner_stepz = 1 }",
            "f.conf:7: unknown key 'inner_stepz' in section 'stage', did you mean 'inner_steps'?");
    refused("run {\n sede = 1 }",
            "f.conf:2: unknown key 'sede' in section 'run', did you mean 'seed'?");
    refused("run {\n} data d {\n path = x\n '' = 1 }", "f.conf:4: an empty string as a name");
    refused("run { quuxly = 1 }", "f.conf:1: unknown key 'quuxly' in section 'run'");
    refused("\nstge m { }", "f.conf:2: unknown section 'stge', did you mean 'stage'?");
    refused("\n\nrounds = 5\n",
            "f.conf:3: unknown section 'rounds'; 'rounds' is a key of section 'stage'");
    refused("include(x)", "f.conf:1: unknown section 'include'");
    refused("'run|seed' = 3", "f.conf:1: a name may not hold '|'");
}

static void test_quoted_path(void **state)
{
    (void)state;
    refused("run {}\n'run|seed' = 3", "f.conf:2: 'seed' outside a section");
}

static void test_values(void **state)
{
    (void)state;
    refused("stage m {\n way = 5000 }", "f.conf:2: 'way' is 5000, must be between 1 and 4096");
    refused("stage m { way = -1 }", "f.conf:1: 'way' is -1, must be between 1 and 4096");
    refused("stage m { way = 99999999999999999999 }",
            "f.conf:1: 'way' is 99999999999999999999, must be between 1 and 4096");
    refused("stage m { way = five }", "f.conf:1: 'way' is 'five', must be a whole number");
    refused("stage m { way = 2.5 }", "f.conf:1: 'way' is '2.5', must be a whole number");
    refused("stage m { way = 0x10 }", "f.conf:1: 'way' is '0x10', must be a whole number");
    refused("stage m { way = '' }", "f.conf:1: 'way' is '', must be a whole number");
    refused("stage m { way = 5; }", "f.conf:1: 'way' is '5;', must be a whole number");
    refused("stage m { rate = nan }", "f.conf:1: 'rate' is 'nan', must be a number");
    refused("stage m { rate = 1.2.3 }", "f.conf:1: 'rate' is '1.2.3', must be a number");
    refused("stage m { rate = 1e }", "f.conf:1: 'rate' is '1e', must be a number");
    refused("stage m { rate = 0x1p3 }", "f.conf:1: 'rate' is '0x1p3', must be a number");
    refused("stage m { rate = ' 1' }", "f.conf:1: 'rate' is ' 1', must be a number");
    refused("stage m { rate = 1e999 }", "f.conf:1: 'rate' is 1e999, must be between 0 and 100");
    refused("stage m { beta1 = 1 }", "f.conf:1: 'beta1' is 1, must be between -1 and 0.9999999");
    refused("run { seed = 9007199254740993 }",
            "f.conf:1: 'seed' is 9007199254740993, must be between 0 and 9007199254740992");
    refused("data x { invert = yes }", "f.conf:1: 'invert' is 'yes', must be true or false");
    refused("run { name = '' }", "f.conf:1: 'name' has 0 bytes, must have 1 to 200");
    refused("run { name = \"a\\xff\" }", "f.conf:1: 'name' is not UTF-8 (byte 0xff)");
    refused("run { name = \"\xed\xa0\x80\" }", "f.conf:1: 'name' is not UTF-8 (byte 0xed)");
    refused("model {\n widths = {4,\n 0} }",
            "f.conf:3: 'widths' is 0, must be between 1 and 1000000");
    refused("model { widths = {4.5} }", "f.conf:1: 'widths' is '4.5', must be a whole number");
    refused("model { layers = {\"\\x80\"} }", "f.conf:1: 'layers' is not UTF-8 (byte 0x80)");
}

static void test_choices(void **state)
{
    (void)state;
    refused("stage m {\n\n optimizer = sdg }",
            "f.conf:3: 'optimizer' is 'sdg', must be one of sgd, adam; did you mean 'sgd'?");
    refused(
        "model { type = transformer }",
        "f.conf:1: 'type' is 'transformer', must be one of mlp, conv4, lenet, resnet12, layers");
    refused(
        "stage m { loss = mes }",
        "f.conf:1: 'loss' is 'mes', must be one of '', cross_entropy, mse, mae, huber, quantile, "
        "poisson, bce; did you mean 'mse'?");
    refused("stage m { optimizer = '' }", "f.conf:1: 'optimizer' is '', must be one of sgd, adam");
}

static void test_structure(void **state)
{
    (void)state;
    refused("", "f.conf:1: no 'stage' section: nothing to run");
    refused("data d {}\n\n", "f.conf:3: no 'stage' section: nothing to run");
    refused("data d {}\n# c\nstage s { }\n", "f.conf:3: stage 's' has no 'data'");
    refused("data train {}\n/*\n*/\nstage s {\n way = 5\n data = trian }",
            "f.conf:4: stage 's' uses data 'trian', which is not defined, did you mean 'train'?");
    refused(SMALL "\nevaluate\n{ data = {d,\n zzzzzzz} }",
            "f.conf:5: section 'evaluate' uses data 'zzzzzzz', which is not defined; there is d");
    refused("data a {}\ndata b {} data a\n{ path = x }",
            "f.conf:3: a second section with the name 'a'");
    refused(SMALL "\nstage s { data = d }", "f.conf:4: a second section with the name 's'");
    refused("run { seed = 1 }\nrun {\n seed = 2 }", "f.conf:2: a second section 'run'");
    refused("run { }\nrun { }", "f.conf:2: a second section 'run'");
    refused("run { seed = 1\n seed = 2 }", "f.conf:2: 'seed' is given twice");
    refused(
        "data 'a b' { }",
        "f.conf:1: the name 'a b' of a 'data' section may hold only letters, digits, '_' and '-'");
    refused("data '' { }",
            "f.conf:1: the name of a 'data' section has 0 characters, must have 1 to 63");
    refused("\n\nstage { data = d }", "f.conf:3: missing title for section 'stage'");
    refused("data d { x_min = 6 }\nstage s {data=d}",
            "f.conf:1: data 'd' has x_min 6 above x_max 5");
    refused("run x {}", "f.conf:1: missing opening brace for section 'run'");
    refused("run {\n seed 3 }", "f.conf:2: missing equal sign after option 'seed'");
    refused("run {\n seed = }", "f.conf:2: unexpected token '}'");
    refused("run { seed += 3 }", "f.conf:1: attempt to append to non-list option 'seed'");
    refused("}", "f.conf:1: unexpected closing brace");
    refused("model { widths = {{1}} }", "f.conf:1: unexpected token '{'");
}

static void test_bytes(void **state)
{
    (void)state;
    struct config c;

    refused("run {\n seed = 1 \xc3\xa9 }", "f.conf:2: byte 0xc3 outside strings and comments");
    refused("run\x01 {}", "f.conf:1: byte 0x01 outside strings and comments");
    refused("run { seed = *1 }", "f.conf:1: unexpected '*'; put it in quotes");
    refused("run|seed = 1", "f.conf:1: unexpected '|'; put it in quotes");
    refused("run {\n name = ${HOME} }",
            "f.conf:2: '${' is not expanded here; put it in single quotes");
    refused("run {\n name = \"${HOME}\" }",
            "f.conf:2: '${' is not expanded here; write \\${ for the characters");
    refused("run {\n name = \"a\n\n", "f.conf:2: the string that starts here does not end");
    refused("run {\n name = 'a\\'", "f.conf:2: the string that starts here does not end");
    refused("\n/* a\n", "f.conf:2: the comment that starts here does not end");
    refused("\n/*/", "f.conf:2: the comment that starts here does not end");
    refused("\nstage s {\n data = d\n", "f.conf:2: the section that starts here does not end");
    refused("run { name = \"\\400\" }",
            "f.conf:1: bad escape '\\400': write \\ooo (octal) or \\xhh");
    refused("run { name = \"\\18\" }", "f.conf:1: bad escape '\\18': write \\ooo (octal) or \\xhh");
    refused("run { name = \"a\\0b\" }", "f.conf:1: a string cannot hold a zero byte");
    refused("run { name = \"a\\x00\" }", "f.conf:1: a string cannot hold a zero byte");
    assert_int_equal(read_bytes(&c, "run {\n\0}", 8, NULL, 0), ERR_CONFIG);
    assert_string_equal(strchr(err_text(), ':'), ":2: zero byte");
    accepted(&c, SMALL); /* no state of the lexer survived the refusals */
    config_release(&c);
}

static void test_sets(void **state)
{
    (void)state;
    const char *sets[] = {"stage.s.rounds=7",   "run.seed=3",
                          "data.d.path=a=b c",  "evaluate.data=d,d",
                          "model.widths=",      "stage.s.rounds=8",
                          "data.d.x_min=6",     "data.d.x_max=7",
                          "data.d.invert=true", "model.layers=conv a=1,head",
                          "run.name=other"};
    struct config c;

    assert_int_equal(read_bytes(&c, SMALL, strlen(SMALL), sets, sizeof sets / sizeof *sets), 0);
    assert_int_equal(c.stages[0].rounds, 8);
    assert_int_equal(c.run.seed, 3);
    assert_string_equal(c.run.directory, "runs/other");
    assert_string_equal(c.data[0].path, "a=b c");
    assert_int_equal(c.evaluate.data.n, 2);
    assert_int_equal(c.models[0].widths.n, 0);
    assert_true(c.data[0].x_min == 6 && c.data[0].x_max == 7 && c.data[0].invert);
    assert_int_equal(c.models[0].layers.n, 2);
    assert_string_equal(c.models[0].layers.items[0], "conv a=1");
    config_release(&c);
}

static void test_sets_of_models(void **state)
{
    (void)state;
    const char *named[] = {"model.filters=5", "model.teacher.filters=6", "stage.s.model=teacher"};
    const char *only[] = {"model.filters=5"};
    struct config c;

    assert_int_equal(config_parse(&c, SMALL "model teacher {} model {}", "f", named, 3, NULL), 0);
    assert_int_equal(config_find_model(&c, "model")->filters, 5);
    assert_int_equal(config_find_model(&c, c.stages[0].model)->filters, 6);
    config_release(&c);
    assert_int_equal(config_parse(&c, SMALL "model teacher {}", "f", only, 1, NULL), 0);
    assert_int_equal(c.n_models, 1);
    assert_int_equal(config_find_model(&c, "teacher")->filters, 5);
    config_release(&c);
    assert_int_equal(config_parse(&c, SMALL, "f", only, 1, NULL), 0);
    assert_int_equal(config_find_model(&c, "")->filters, 5);
    config_release(&c);
    set_refused(SMALL "model a {} model b {}", only[0],
                "--set 'model.filters=5': must name the model, as in model.NAME.filters=5");
    set_refused(SMALL "model {} model teacher {}", "model.techer.filters=5",
                "--set 'model.techer.filters=5': no model 'techer', did you mean 'teacher'?");
    set_refused(
        SMALL "model {} model teacher {}", "stage.s.model=techer",
        "--set 'stage.s.model=techer': stage 's' uses model 'techer', which is not defined, "
        "did you mean 'teacher'?");
}

static void test_sets_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"stage.s.roundz=1", "unknown key 'roundz' in section 'stage', did you mean 'rounds'?"},
        {"stge.s.rounds=1", "unknown section 'stge', did you mean 'stage'?"},
        {"stage.meto.rounds=1", "no stage 'meto'; there is s"},
        {"data.dd.path=1", "no data 'dd', did you mean 'd'?"},
        {"stage.rounds=1", "must name the stage, as in stage.NAME.rounds=1"},
        {"run.a.seed=1", "section 'run' has no name, write run.seed=1"},
        {"rounds", "not of the form section.key=value"},
        {"rounds=1", "not of the form section.key=value"},
        {"=", "not of the form section.key=value"},
        {".=", "unknown section ''"},
        {"stage.s.way=5000", "'way' is 5000, must be between 1 and 4096"},
        {"stage.s.optimizer=sdg",
         "'optimizer' is 'sdg', must be one of sgd, adam; did you mean 'sgd'?"},
        {"stage.s.data=e", "stage 's' uses data 'e', which is not defined; there is d"},
        {"stage.s.data=", "stage 's' has no 'data'"},
        {"evaluate.data=d,x", "section 'evaluate' uses data 'x', which is not defined; there is d"},
        {"model.widths=40,,40", "'widths' is '', must be a whole number"},
        {"modle.widths=40", "unknown section 'modle', did you mean 'model'?"},
        {"model.width=40", "unknown key 'width' in section 'model', did you mean 'widths'?"},
        {"model.teacher.widths=40", "no model 'teacher'; there is model"},
        {"data.d.x_min=6", "data 'd' has x_min 6 above x_max 5"},
        {"run.name=\xff", "'name' is not UTF-8 (byte 0xff)"},
    };
    char sentence[512];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(sentence, sizeof sentence, "--set '%s': %s", cases[i][0], cases[i][1]);
        set_refused(SMALL, cases[i][0], sentence);
    }
}

static void test_files(void **state)
{
    (void)state;
    struct config c;
    size_t n = (1 << 20) + 1;
    char *text = malloc(n + 1);

    assert_int_equal(config_read(&c, "/nowhere/x.conf", NULL, 0, NULL), ERR_NOINPUT);
    assert_string_equal(err_text(), "cannot open '/nowhere/x.conf': No such file or directory");
    assert_int_equal(config_read(&c, "/tmp", NULL, 0, NULL), ERR_NOINPUT);
    assert_string_equal(err_text(), "cannot read '/tmp': Is a directory");
    memset(text, '\n', n);
    memcpy(text, SMALL, strlen(SMALL));
    text[n] = '\0';
    assert_int_equal(read_bytes(&c, text, n, NULL, 0), ERR_CONFIG);
    assert_string_equal(strchr(err_text(), ':'), ":1: longer than 1048576 bytes");
    assert_int_equal(config_parse(&c, text, "f", NULL, 0, NULL), ERR_CONFIG);
    assert_int_equal(read_bytes(&c, text, n - 1, NULL, 0), 0);
    config_release(&c);
    free(text);
}

/* A megabyte of `unit`, after `head`, must be answered, not crashed on. */
static void flood(const char *head, const char *unit, const char *sentence)
{
    size_t max = 1 << 20, n = strlen(head), step = strlen(unit);
    char *text = malloc(max + 1);

    memcpy(text, head, n);
    for (; n + step < max; n += step)
        memcpy(text + n, unit, step);
    text[n] = '\0';
    refused(text, sentence);
    free(text);
}

static void test_floods(void **state)
{
    (void)state;
    char many[4096] = "", title[32];

    flood("", "{", "f.conf:1: the section that starts here does not end");
    flood("", "run{", "f.conf:1: the section that starts here does not end");
    flood("", "}", "f.conf:1: unexpected closing brace");
    flood("", "run{}\n", "f.conf:2: a second section 'run'");
    flood("", "model{}", "f.conf:1: a second section with the name 'model'");
    flood("", "model{", "f.conf:1: the section that starts here does not end");
    flood("", "a=1\n", "f.conf:1: unknown section 'a'");
    flood("run{}", "\"", "f.conf:1: an empty string as a name");
    flood("data ", "x", "f.conf:1: premature end of file");
    flood("run{", "seed=1\n", "f.conf:1: the section that starts here does not end");
    for (int i = 0; i <= CONFIG_DATA_MAX; i++) {
        snprintf(title, sizeof title, "data d%d {}\n", i);
        strcat(many, title);
    }
    refused(many, "f.conf:33: more than 32 'data' sections");
}

/* The most items a list may have, and one more: in a section, added to it, and by --set. */
static void test_long_lists(void **state)
{
    (void)state;
    char most[2 * CONFIG_ITEMS_MAX], set[2 * CONFIG_ITEMS_MAX + 64], *text, *printed;
    const char *sets[] = {set};
    struct config c;

    for (int i = 0; i < 2 * CONFIG_ITEMS_MAX; i++)
        most[i] = i % 2 ? ',' : '7';
    most[2 * CONFIG_ITEMS_MAX - 1] = '\0';
    assert_true(asprintf(&text, SMALL "model { widths = {%s} }", most) > 0);
    accepted(&c, text);
    assert_int_equal(c.models[0].widths.n, CONFIG_ITEMS_MAX);
    assert_non_null(printed = config_text(&c));
    config_release(&c);
    accepted(&c, printed);
    config_release(&c);
    free(printed);
    free(text);
    assert_true(asprintf(&text, SMALL "model { widths = {%s,7} }", most) > 0);
    refused(text, "f.conf:3: 'widths' has more than 4096 items");
    free(text);
    assert_true(asprintf(&text, SMALL "model { widths = {%s}\nwidths += {7} }", most) > 0);
    refused(text, "f.conf:4: 'widths' has more than 4096 items");
    free(text);
    snprintf(set, sizeof set, "model.widths=%s", most);
    assert_int_equal(config_parse(&c, SMALL, "f.conf", sets, 1, NULL), 0);
    assert_int_equal(c.models[0].widths.n, CONFIG_ITEMS_MAX);
    config_release(&c);
    strcat(set, ",7");
    assert_int_equal(config_parse(&c, SMALL, "f.conf", sets, 1, NULL), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "'widths' has more than 4096 items"));
}

static void test_long_values(void **state)
{
    (void)state;
    size_t n = 1000000;
    char *text = malloc(n + 64);
    struct config c;

    memset(text, 'x', n + 64);
    memcpy(text, "run { name = '", 14);
    strcpy(text + n, "' }");
    assert_int_equal(config_parse(&c, text, "f", NULL, 0, NULL), ERR_CONFIG);
    assert_string_equal(err_text(), "f:1: the string that starts here has more than 16384 bytes");
    strcpy(text + 14 + 16000, "' }");
    assert_int_equal(config_parse(&c, text, "f", NULL, 0, NULL), ERR_CONFIG);
    assert_string_equal(err_text(), "f:1: 'name' has 16000 bytes, must have 1 to 200");
    strcpy(text, "data d { path = \"");
    for (int i = 0; i < 4096; i++) /* the longest of all, each byte an escape */
        strcpy(text + 17 + 4 * i, "\\x01");
    strcpy(text + 17 + 4 * 4096, "\" }\nstage s { data = d }\n");
    accepted(&c, text);
    assert_int_equal(strlen(c.data[0].path), 4096);
    config_release(&c);
    memset(text, 'x', n);
    memcpy(text, "run { ", 6);
    strcpy(text + n, " = 1 }");
    assert_int_equal(config_parse(&c, text, "f", NULL, 0, NULL), ERR_CONFIG);
    free(text);
}

static void test_nearest(void **state)
{
    (void)state;
    const char *words[] = {"sgd", "adam", "momentum", "", NULL};

    assert_string_equal(config_nearest("sdg", words), "sgd");
    assert_string_equal(config_nearest("Adam", words), "adam");
    assert_string_equal(config_nearest("mometnmu", words), "momentum");
    assert_null(config_nearest("mxmxtxmx", words));
    assert_null(config_nearest("x", words));
    assert_null(config_nearest("", words));
    assert_null(config_nearest("quux", words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_comments_and_quotes),
        cmocka_unit_test(test_unknown),        cmocka_unit_test(test_quoted_path),
        cmocka_unit_test(test_values),         cmocka_unit_test(test_choices),
        cmocka_unit_test(test_structure),      cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_sets),           cmocka_unit_test(test_sets_refused),
        cmocka_unit_test(test_files),          cmocka_unit_test(test_floods),
        cmocka_unit_test(test_long_lists),     cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_nearest),        cmocka_unit_test(test_models),
        cmocka_unit_test(test_models_refused), cmocka_unit_test(test_sets_of_models),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
