/* config_metrics.c - where metrics may go: TCP, and beyond this machine only with keys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_table.h"
#include "core/err.h"

#define TCP "tcp://"

static bool is_loopback(const char *host, size_t n)
{
    if (n == 5 && strncmp(host, "[::1]", n) == 0)
        return true;
    return n > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= n;
}

/* tcp://HOST:PORT. */
static int endpoint_check(const char *key, const char *endpoint, long last, bool *loopback)
{
    const char *host = endpoint + strlen(TCP), *colon = strrchr(endpoint, ':');
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    long port = colon && digits > 0 && digits < 6 ? strtol(colon + 1, NULL, 10) : 0;

    if (strncmp(endpoint, TCP, strlen(TCP)) != 0 || !colon || colon <= host ||
        strspn(host, " ;,/") > 0)
        return err(ERR_CONFIG, "metrics.%s '%.200s' is not of the form tcp://ADDRESS:PORT", key,
                   endpoint);
    if (colon[1 + digits] != '\0' || port < 1 || port > last)
        return err(ERR_CONFIG, "metrics.%s '%.200s' has no port of 1 to %ld", key, endpoint, last);
    *loopback = is_loopback(host, (size_t)(colon - host));
    return 0;
}

int config_metrics_check(const struct config *c, int i)
{
    const struct metrics_config *m = &c->metrics;
    bool own = true, other = true, separate = *m->snapshot != '\0';

    (void)i;
    if (!*m->endpoint)
        return 0;
    TRY(endpoint_check("endpoint", m->endpoint, separate ? 65535 : 65534, &own));
    if (separate)
        TRY(endpoint_check("snapshot", m->snapshot, 65535, &other));
    if (separate && strcmp(m->endpoint, m->snapshot) == 0)
        return err(ERR_CONFIG, "metrics.endpoint and metrics.snapshot are both '%.200s'",
                   m->endpoint);
    if (*m->server_key && !*m->allowed)
        return err(ERR_CONFIG, "metrics.server_key without metrics.allowed: nobody could watch");
    if (*m->allowed && !*m->server_key)
        return err(ERR_CONFIG, "metrics.allowed without metrics.server_key: anybody could watch");
    if ((own && other) || *m->server_key || m->insecure)
        return 0;
    return err(
        ERR_CONFIG,
        "metrics.%s '%.200s' can be reached from other machines: it needs metrics.server_key and "
        "metrics.allowed (metaloop keygen), or metrics.insecure = true",
        own ? "snapshot" : "endpoint", own ? m->snapshot : m->endpoint);
}
