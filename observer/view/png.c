/* png.c - draws the curves with cairo: a row of charts per stage. */
#include <cairo.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "observer/view/chart.h"
#include "observer/view/view.h"

#define REWRITE 10.0 /* seconds between pictures while the run goes on */

enum {
    CELL_W = 400,
    CELL_H = 270,
    IN_ROW = 4,
    MARGIN = 24,
    TITLE = 54,
    STAGE_TITLE = 30,
    LEFT = 62,
    TOP = 44,
    RIGHT = 14,
    BOTTOM = 30,
    TICKS = 4,
    NARROW = 960, /* room for the title */
};

struct png {
    double written;
    bool once;       /* the output cannot be rewritten, so only the last picture is written */
    uint64_t serial; /* of all runs, when last written */
    char path[];
};

struct frame {
    double x, y, w, h;
};

struct colour {
    double r, g, b;
};

static const struct colour colours[] = {{0.12, 0.44, 0.70},
                                        {0.84, 0.37, 0.00},
                                        {0.00, 0.58, 0.43},
                                        {0.66, 0.30, 0.60},
                                        {0.45, 0.45, 0.45}};

static void colour_set(cairo_t *c, int k)
{
    const struct colour *u = &colours[k % 5];

    cairo_set_source_rgb(c, u->r, u->g, u->b);
}

static void grey_set(cairo_t *c, double g)
{
    cairo_set_source_rgb(c, g, g, g);
}

/* align: 0 begins at x, 0.5 is centred, 1 ends there. Returns its width. */
static double text_draw(cairo_t *c, double x, double y, double align, double size, const char *text)
{
    cairo_text_extents_t e;

    cairo_set_font_size(c, size);
    cairo_text_extents(c, text, &e);
    cairo_move_to(c, x - align * e.x_advance, y);
    cairo_show_text(c, text);
    return e.x_advance;
}

/* A round distance between marks, for about TICKS marks. */
static double tick_step(double span)
{
    double raw = span / TICKS, power = pow(10, floor(log10(raw))), m = raw / power;

    return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

/* The decimals that the marks need to differ. */
static void tick_text(char *text, size_t n, const struct chart *chart, double value, double step)
{
    double scale = chart->share ? 100 : 1;
    int decimals = (int)-floor(log10(step * scale) + 1e-9);

    if (fabs(value) < 1e-9 * step)
        value = 0;
    if (decimals > 5)
        snprintf(text, n, "%.2e", value);
    else
        snprintf(text, n, "%.*f%s", decimals > 0 ? decimals : 0, value * scale,
                 chart->share ? " %" : "");
}

static void axis_y(cairo_t *c, struct frame b, const struct chart *chart, const struct range *g)
{
    double step = tick_step(g->high - g->low);

    for (double v = ceil(g->low / step) * step; v <= g->high; v += step) {
        double y = b.y + b.h * (g->high - v) / (g->high - g->low);
        char figure[32];

        grey_set(c, 0.9);
        cairo_move_to(c, b.x, floor(y) + 0.5);
        cairo_line_to(c, b.x + b.w, floor(y) + 0.5);
        cairo_stroke(c);
        tick_text(figure, sizeof figure, chart, v, step);
        grey_set(c, 0.35);
        text_draw(c, b.x - 6, y + 4, 1, 11, figure);
    }
}

static void axis_x(cairo_t *c, struct frame b, const struct range *g)
{
    char text[32];

    grey_set(c, 0.35);
    snprintf(text, sizeof text, "%" PRIu64, g->first);
    text_draw(c, b.x, b.y + b.h + 16, 0, 11, text);
    text_draw(c, b.x + b.w / 2, b.y + b.h + 16, 0.5, 11, "round");
    snprintf(text, sizeof text, "%" PRIu64, g->last);
    text_draw(c, b.x + b.w, b.y + b.h + 16, 1, 11, text);
    grey_set(c, 0.6);
    cairo_rectangle(c, b.x + 0.5, b.y + 0.5, b.w, b.h);
    cairo_stroke(c);
}

static double place_y(struct frame b, const struct range *g, double value)
{
    return b.y + b.h * (g->high - value) / (g->high - g->low);
}

/* Draws intervals, which only the few points of evaluations have. */
static void spread_draw(cairo_t *c, struct frame b, const struct range *g,
                        const struct curve_point *p)
{
    double x = b.x + b.w * range_place(g, p->round);

    cairo_arc(c, x, place_y(b, g, p->value), 2.5, 0, 2 * M_PI);
    cairo_fill(c);
    if (!isfinite(p->spread))
        return;
    cairo_move_to(c, x, place_y(b, g, p->value - p->spread));
    cairo_line_to(c, x, place_y(b, g, p->value + p->spread));
    cairo_stroke(c);
}

static void curve_draw(cairo_t *c, struct frame b, const struct range *g, const struct series *s)
{
    bool dots = strcmp(s->group, "evaluation") == 0;

    cairo_save(c);
    cairo_rectangle(c, b.x, b.y, b.w, b.h);
    cairo_clip(c);
    for (int i = 0; i < s->n; i++) {
        double v = range_value(g, s->points[i].value);

        if (isfinite(v))
            cairo_line_to(c, b.x + b.w * range_place(g, s->points[i].round), place_y(b, g, v));
    }
    cairo_stroke(c);
    for (int i = 0; dots && i < s->n; i++)
        spread_draw(c, b, g, &s->points[i]);
    cairo_restore(c);
}

static void legend_draw(cairo_t *c, struct frame b, const struct chart *chart)
{
    double x = b.x;
    char text[160], figure[32];

    for (int k = 0; k < chart->n; k++) {
        chart_figure(figure, sizeof figure, chart, series_last(chart->curves[k]));
        snprintf(text, sizeof text, "%.20s %s", chart->n > 1 ? chart->names[k] : "", figure);
        colour_set(c, k);
        x += text_draw(c, x, b.y - 6, 0, 11, text) + 12;
    }
}

static void chart_draw(cairo_t *c, double x, double y, const struct chart *chart)
{
    struct frame b = {x + LEFT, y + TOP, CELL_W - LEFT - RIGHT, CELL_H - TOP - BOTTOM};
    struct range g = chart_range(chart, false);
    char title[CHART_NAME];

    grey_set(c, 0.1);
    chart_name(title, sizeof title, chart);
    text_draw(c, b.x, b.y - 22, 0, 13, title);
    legend_draw(c, b, chart);
    cairo_set_line_width(c, 1);
    axis_y(c, b, chart, &g);
    axis_x(c, b, &g);
    cairo_set_line_width(c, 1.4);
    for (int k = chart->n - 1; k >= 0; k--) {
        colour_set(c, k);
        curve_draw(c, b, &g, chart->curves[k]);
    }
}

static double stage_height(const struct run *r, int stage, int *columns)
{
    int n;

    free(charts_of(r, stage, &n));
    if (n > *columns)
        *columns = n < IN_ROW ? n : IN_ROW;
    return n ? STAGE_TITLE + (n + IN_ROW - 1) / IN_ROW * CELL_H : 0;
}

static double stage_draw(cairo_t *c, const struct run *r, int stage, double y)
{
    const struct stage_seen *s = &r->stages[stage];
    int n;
    struct chart *charts = charts_of(r, stage, &n);
    char text[256];

    if (n == 0) {
        free(charts);
        return y;
    }
    snprintf(text, sizeof text, "%s (%s), round %" PRIu64 " of %" PRIu64, s->name, s->method,
             s->round, s->rounds);
    grey_set(c, 0.1);
    text_draw(c, MARGIN, y + 22, 0, 15, text);
    y += STAGE_TITLE;
    for (int i = 0; i < n; i++)
        chart_draw(c, MARGIN + i % IN_ROW * CELL_W, y + i / IN_ROW * CELL_H, &charts[i]);
    free(charts);
    return y + (n + IN_ROW - 1) / IN_ROW * CELL_H;
}

static double run_draw(cairo_t *c, const struct runs *runs, const struct run *r, double y)
{
    char text[2 * SENTENCE], label[NAME + KEY];
    double x;

    grey_set(c, 0.05);
    run_label(runs, r, label, sizeof label);
    x = MARGIN + text_draw(c, MARGIN, y + 34, 0, 20, label);
    snprintf(text, sizeof text, "%s%s%s%s%s", run_state_name(r), *r->end ? ": " : "", r->end,
             *r->digest ? "   digest " : "", r->digest);
    grey_set(c, 0.4);
    text_draw(c, x + 16, y + 34, 0, 12, text);
    y += TITLE;
    for (int i = 0; i < r->n_stages; i++)
        y = stage_draw(c, r, i, y);
    return y;
}

static cairo_status_t bytes_take(void *context, const unsigned char *bytes, unsigned n)
{
    outfile_write(context, bytes, n);
    return CAIRO_STATUS_SUCCESS;
}

static cairo_surface_t *picture_draw(const struct runs *runs)
{
    double height = 2 * MARGIN;
    int columns = 1, width;

    for (int k = 0; k < runs->n; k++) {
        height += TITLE;
        for (int i = 0; i < runs->sources[k].run.n_stages; i++)
            height += stage_height(&runs->sources[k].run, i, &columns);
    }
    width = columns * CELL_W + 2 * MARGIN > NARROW ? columns * CELL_W + 2 * MARGIN : NARROW;
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, (int)height);
    cairo_t *c = cairo_create(surface);
    double y = MARGIN / 2;

    grey_set(c, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    for (int k = 0; k < runs->n; k++)
        y = run_draw(c, runs, &runs->sources[k].run, y);
    cairo_destroy(c);
    return surface;
}

/* At any moment either the old or the new picture is there, complete. */
static int picture_write(const struct png *p, const struct runs *runs)
{
    cairo_surface_t *surface = picture_draw(runs);
    struct outfile f;
    int code = outfile_open(&f, p->path);

    if (code == 0) {
        cairo_status_t status = cairo_surface_write_to_png_stream(surface, bytes_take, &f);

        if (status != CAIRO_STATUS_SUCCESS)
            outfile_abandon(&f);
        code = status == CAIRO_STATUS_SUCCESS ? outfile_commit(&f)
                                              : err(ERR_FAILED, "cannot draw '%s': %s", p->path,
                                                    cairo_status_to_string(status));
    }
    cairo_surface_destroy(surface);
    return code;
}

static uint64_t serial_of(const struct runs *runs)
{
    uint64_t serial = 1;

    for (int i = 0; i < runs->n; i++)
        serial += runs->sources[i].run.serial;
    return serial;
}

static int png_tick(struct view *v, double now)
{
    struct png *p = v->state;

    if (p->written == 0)
        p->written = now;
    if (p->once || now - p->written < REWRITE || serial_of(v->runs) == p->serial)
        return 0;
    p->written = now;
    p->serial = serial_of(v->runs);
    return picture_write(p, v->runs);
}

static int png_close(struct view *v)
{
    int code = picture_write(v->state, v->runs);

    free(v->state);
    return code;
}

static const struct view_ops png = {.name = "png", .tick = png_tick, .close = png_close};

int view_png(struct view *v, const char *path)
{
    struct png *p = calloc(1, sizeof *p + strlen(path) + 1);

    if (!p)
        return err(ERR_MEMORY, "no memory to draw '%s'", path);
    strcpy(p->path, path);
    v->ops = &png;
    v->state = p;
    p->once = !outfile_replaces(path);
    return p->once ? 0 : picture_write(p, v->runs); /* reports at once if it cannot be written */
}
