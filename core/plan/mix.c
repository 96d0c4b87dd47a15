/* mix.c - sections by weight. */
#include "core/plan/mix.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

static int check_mix(const struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct strings *names = &c->data;

    if (names->n > 1 && stage->traits->draws != DRAW_EPISODES)
        return err(ERR_CONFIG, "stage '%s': method '%s' trains on one data section, %d are named",
                   c->name, c->method, names->n);
    if (c->data_weights.n > 0 && c->data_weights.n != names->n)
        return err(ERR_CONFIG, "stage '%s': data_weights has %d numbers for %d data section%s",
                   c->name, c->data_weights.n, names->n, names->n == 1 ? "" : "s");
    for (int i = 0; i < names->n; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(names->items[i], names->items[k]) == 0)
                return err(ERR_CONFIG, "stage '%s' names data '%s' twice", c->name,
                           names->items[i]);
    return 0;
}

int mix_form(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;

    TRY(check_mix(stage));
    stage->mixed = calloc(CONFIG_DATA_MAX, sizeof *stage->mixed);
    if (!stage->mixed)
        return err(ERR_MEMORY, "no memory for %d data sections", c->data.n);
    for (int i = 0; i < c->data.n; i++) {
        const char *weight = c->data_weights.n ? c->data_weights.items[i] : "1";

        stage->mixed[stage->n_mixed++] =
            (struct mixed){(int)(config_find_data(s->config, c->data.items[i]) - s->config->data),
                           (uint32_t)strtoul(weight, NULL, 10)};
    }
    stage->data = stage->mixed[0].data;
    return 0;
}

uint32_t mix_draw(const struct stage *stage, struct rng *r)
{
    uint32_t sum = 0, drawn;
    int i = 0;

    if (stage->n_mixed == 1)
        return (uint32_t)stage->data;
    for (int k = 0; k < stage->n_mixed; k++)
        sum += stage->mixed[k].weight;
    for (drawn = rng_below(r, sum); drawn >= stage->mixed[i].weight; i++)
        drawn -= stage->mixed[i].weight;
    return (uint32_t)stage->mixed[i].data;
}

bool mix_has(const struct stage *stage, uint32_t data)
{
    for (int i = 0; i < stage->n_mixed; i++)
        if ((uint32_t)stage->mixed[i].data == data)
            return true;
    return false;
}
