/* curve.c - a script for gnuplot, and the picture that it gives. */
#include "launch/curve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/outfile.h"

static const char settings[] = "set terminal pngcairo size 1000,600 noenhanced font 'sans,11'\n"
                               "set output\n" /* the standard one */
                               "set border lc '#555555'\n"
                               "set grid lc '#dddddd' lt 1\n"
                               "set key below\n"
                               "set logscale x 2\n"
                               "set xlabel 'ranks'\n"
                               "set ylabel 'share, %'\n"
                               "set yrange [0:100]\n"
                               "set ytics nomirror\n"
                               "set logscale y2 10\n"
                               "set y2label 'tasks a second'\n"
                               "set y2tics\n"
                               "set format y2 '%.0s%c'\n";

static const char plots[] =
    "plot $points using 1:3 with linespoints lw 3 pt 7 lc '#1f5fa8' title 'efficiency', \\\n"
    "  '' using 1:4 with linespoints lw 2 pt 5 lc '#c8553d' title 'communication', \\\n"
    "  '' using 1:5 with linespoints lw 2 pt 9 lc '#8a8a8a' title 'rank 0 busy', \\\n"
    "  '' using 1:2 axes x1y2 with linespoints lw 2 dt 2 pt 6 lc '#2a7f4f' \\\n"
    "  title 'tasks a second'\n";

int curve_check(const char *path)
{
    struct outfile f;

    if (system("command -v gnuplot >/dev/null 2>&1") != 0)
        return err(ERR_FAILED, "'--png' needs gnuplot, which is not installed (gnuplot-nox)");
    TRY(outfile_open(&f, path));
    outfile_abandon(&f);
    return 0;
}

/* Between single quotes, where a quote is written twice. */
static void print_quoted(FILE *to, const char *text)
{
    fputc('\'', to);
    for (; *text; text++)
        fprintf(to, *text == '\'' ? "''" : "%c", *text);
    fputs("'\n", to);
}

static void print_script(FILE *to, const char *title, const struct curve_size *points, int n)
{
    fputs("$points << end_of_points\n", to);
    for (int i = 0; i < n; i++)
        fprintf(to, "%d %g %g %g %g\n", points[i].ranks, points[i].tasks_per_second,
                100 * points[i].efficiency, 100 * points[i].communication, 100 * points[i].rank0);
    fputs("end_of_points\n", to);
    fputs(settings, to);
    fputs("set title ", to);
    print_quoted(to, title);
    fputs("set xtics (", to);
    for (int i = 0; i < n; i++)
        fprintf(to, "%s%d", i ? ", " : "", points[i].ranks);
    fputs(")\n", to);
    if (n == 1)
        fprintf(to, "set xrange [%g:%d]\n", points[0].ranks / 2.0, 2 * points[0].ranks);
    fputs(plots, to);
}

/* What gnuplot prints for the script, into the file. */
static int draw(struct outfile *f, FILE *script)
{
    char command[64], bytes[1 << 16];
    size_t n, all = 0;
    FILE *picture;

    snprintf(command, sizeof command, "gnuplot - <&%d", fileno(script));
    picture = popen(command, "r");
    if (!picture)
        return err(ERR_FAILED, "cannot start gnuplot: %s", strerror(errno));
    for (; (n = fread(bytes, 1, sizeof bytes, picture)) > 0; all += n)
        outfile_write(f, bytes, n);
    if (pclose(picture) != 0 || all == 0)
        return err(ERR_FAILED, "gnuplot has not drawn '%s'", f->path);
    return 0;
}

static int draw_script(struct outfile *f, FILE *script)
{
    if (fflush(script) != 0 || lseek(fileno(script), 0, SEEK_SET) < 0)
        return err(ERR_IO, "cannot write a script for gnuplot: %s", strerror(errno));
    return draw(f, script);
}

int curve_draw(const char *path, const char *title, const struct curve_size *points, int n)
{
    struct outfile f;
    FILE *script;
    int code;

    TRY(outfile_open(&f, path));
    script = tmpfile();
    if (script) {
        print_script(script, title, points, n);
        code = draw_script(&f, script);
        fclose(script);
    } else {
        code = err(ERR_CANTCREAT, "cannot create a script for gnuplot: %s", strerror(errno));
    }
    if (code < 0) {
        outfile_abandon(&f);
        return code;
    }
    return outfile_commit(&f);
}
