/* predict_print.c - predictions for people, for spreadsheets and for programs. */
#include "launch/predict_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/plural.h"

/* The most probable class but `not`. */
static int best(const double *p, int n, int not )
{
    int best = -1;

    for (int i = 0; i < n; i++)
        if (i != not &&(best < 0 || p[i] > p[best]))
            best = i;
    return best;
}

/* ---- a table ---- */

static int columns(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += (*text & 0xc0) != 0x80; /* of UTF-8 the first byte alone */
    return n;
}

static void pad(FILE *to, const char *text, int width)
{
    fprintf(to, "%s%*s", text, width - columns(text), "");
}

static void widen(struct predict_printer *p, const struct prediction *each, int n)
{
    p->wide = p->wide > 4 ? p->wide : 4;
    p->label = p->label > 5 ? p->label : 5;
    for (int i = 0; i < n; i++)
        p->wide = columns(each[i].file) > p->wide ? columns(each[i].file) : p->wide;
    for (int i = 0; i < p->n_classes; i++)
        p->label = columns(p->classes[i]) > p->label ? columns(p->classes[i]) : p->label;
}

static void print_row(struct predict_printer *p, const struct prediction *x)
{
    int first = best(x->p, p->n_classes, -1), second = best(x->p, p->n_classes, first);

    pad(p->to, x->file, p->wide + 2);
    pad(p->to, p->classes[first], p->label + 2);
    fprintf(p->to, "%11.4f", x->p[first]);
    if (second >= 0) {
        fprintf(p->to, "  ");
        pad(p->to, p->classes[second], p->label + 1);
        fprintf(p->to, "%.4f", x->p[second]);
    }
    if (x->is >= 0 && x->is != first)
        fprintf(p->to, "  is %s", p->classes[x->is]);
    fputc('\n', p->to);
}

static void print_rows(struct predict_printer *p, const struct prediction *each, int n)
{
    widen(p, each, n);
    if (!p->told_head) {
        pad(p->to, "file", p->wide + 2);
        pad(p->to, "label", p->label + 2);
        fprintf(p->to, "probability%s\n", p->n_classes > 1 ? "  next" : "");
    }
    for (int i = 0; i < n; i++)
        print_row(p, &each[i]);
}

/* ---- CSV (RFC 4180) ---- */

void print_field(FILE *to, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text; text++)
        fputs(*text == '"' ? "\"\"" : (char[]){*text, '\0'}, to);
    fputc('"', to);
}

static void print_csv(struct predict_printer *p, const struct prediction *each, int n)
{
    if (!p->told_head) {
        fputs("file,label,probability", p->to);
        for (int i = 0; i < p->n_classes; i++) {
            fputc(',', p->to);
            print_field(p->to, p->classes[i]);
        }
        fputc('\n', p->to);
    }
    for (int i = 0; i < n; i++) {
        int first = best(each[i].p, p->n_classes, -1);

        print_field(p->to, each[i].file);
        fputc(',', p->to);
        print_field(p->to, p->classes[first]);
        fprintf(p->to, ",%.9g", each[i].p[first]);
        for (int k = 0; k < p->n_classes; k++)
            fprintf(p->to, ",%.9g", each[i].p[k]);
        fputc('\n', p->to);
    }
}

/* ---- JSON, one object a line ---- */

json_t *print_text_json(const char *text)
{
    json_t *s = json_string(text);
    char *copy = s ? NULL : strdup(text);

    for (char *at = copy; at && *at; at++)
        *at = *at & 0x80 ? '?' : *at;
    s = s ? s : json_string(copy ? copy : "");
    free(copy);
    return s;
}

void print_object(FILE *to, json_t *o)
{
    json_dumpf(o, to, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', to);
    json_decref(o);
}

static json_t *probabilities_json(const struct predict_printer *p, const double *each)
{
    json_t *o = json_object();

    for (int i = 0; i < p->n_classes; i++) {
        json_t *name = print_text_json(p->classes[i]);

        json_object_set_new(o, json_string_value(name), json_real(each[i]));
        json_decref(name);
    }
    return o;
}

static void print_json_line(struct predict_printer *p, const struct prediction *x)
{
    int first = best(x->p, p->n_classes, -1);
    json_t *o = json_pack("{s:o, s:o, s:f, s:o}", "file", print_text_json(x->file), "label",
                          print_text_json(p->classes[first]), "probability", x->p[first],
                          "probabilities", probabilities_json(p, x->p));

    if (x->is >= 0)
        json_object_set_new(o, "class", print_text_json(p->classes[x->is]));
    print_object(p->to, o);
}

/* ---- all ---- */

static void count(struct predict_printer *p, const struct prediction *x)
{
    p->n++;
    p->n_labelled += x->is >= 0;
    p->n_right += x->is >= 0 && x->is == best(x->p, p->n_classes, -1);
}

void print_predictions(struct predict_printer *p, const struct prediction *each, int n)
{
    if (p->style == PRINT_TABLE)
        print_rows(p, each, n);
    else if (p->style == PRINT_CSV)
        print_csv(p, each, n);
    for (int i = 0; i < n; i++) {
        if (p->style == PRINT_JSON)
            print_json_line(p, &each[i]);
        count(p, &each[i]);
    }
    p->told_head = true;
}

static void summary_object(struct predict_printer *p, const char *protocol)
{
    json_t *o = json_pack("{s:I, s:s}", "queries", (json_int_t)p->n, "protocol", protocol);

    if (p->n_labelled > 0) {
        json_object_set_new(o, "labelled", json_integer((json_int_t)p->n_labelled));
        json_object_set_new(o, "accuracy", json_real((double)p->n_right / (double)p->n_labelled));
    }
    print_object(p->to, o);
}

void print_summary(struct predict_printer *p, const char *protocol)
{
    if (p->style == PRINT_JSON)
        summary_object(p, protocol);
    if (p->style != PRINT_TABLE)
        return;
    fprintf(p->to, "%" PRIu64 " sample%s, %s", p->n, plural((double)p->n), protocol);
    if (p->n_labelled > 0)
        fprintf(p->to, "; accuracy %.2f %% (%" PRIu64 " of %" PRIu64 " that are named by a class)",
                100 * (double)p->n_right / (double)p->n_labelled, p->n_right, p->n_labelled);
    fputc('\n', p->to);
}
