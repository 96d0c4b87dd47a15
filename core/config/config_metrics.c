/* config_metrics.c - addresses of the stream: TCP only; keys are needed beyond this machine. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

#define TCP "tcp://"
#define LOCALHOST "localhost"

struct endpoint { /* the parts of tcp://HOST:PORT */
    const char *key, *text;
    char host[256];
    const char *port; /* NULL: none */
};

static int refuse(const struct endpoint *e, const char *what, const char *write)
{
    return err(ERR_CONFIG, "metrics.%s '%.200s' %s: write %.300s", e->key, e->text, what, write);
}

/* The suggested spelling: with tcp:// in front, and an address of this machine instead of none or a
 * name. */
static int refuse_protocol(const struct endpoint *e)
{
    const char *other = strstr(e->text, "://"), *rest = e->text;
    bool number = rest[strspn(rest, "0123456789")] == '\0';
    char write[600];

    if (other)
        return refuse(e, "is not TCP", TCP "ADDRESS:PORT");
    if (strncasecmp(rest, LOCALHOST, strlen(LOCALHOST)) == 0 &&
        strchr(":", rest[strlen(LOCALHOST)])) /* the end, too */
        rest += strlen(LOCALHOST);
    snprintf(write, sizeof write, TCP "%s%s%s%s", number ? "127.0.0.1:" : "",
             *rest == ':' || !*rest ? "127.0.0.1" : "", rest,
             strchr(rest, ':') || number ? "" : ":5555");
    return refuse(e, "does not begin with " TCP, write);
}

/* Splits behind tcp:// at the last colon that is not within brackets. */
static int endpoint_split(struct endpoint *e)
{
    const char *host = e->text + strlen(TCP), *end = strchr(host, ']');
    const char *colon = strrchr(end && *host == '[' ? end : host, ':');
    size_t n = colon ? (size_t)(colon - host) : strlen(host);
    char write[600];

    e->port = colon ? colon + 1 : NULL;
    snprintf(e->host, sizeof e->host, "%.*s", n < 255 ? (int)n : 255, host);
    if (n >= sizeof e->host || strpbrk(host, " \t;,/@") || (colon && n == 0))
        return refuse(e, "is not one address and port", TCP "ADDRESS:PORT");
    snprintf(write, sizeof write, "%.300s:5555", e->text);
    if (!colon)
        return refuse(e, "has no port",
                      n && strcasecmp(host, LOCALHOST) != 0 ? write : TCP "127.0.0.1:5555");
    return 0;
}

static int port_check(const struct endpoint *e, long last)
{
    size_t digits = strspn(e->port, "0123456789");
    long port = digits > 0 && digits < 6 ? strtol(e->port, NULL, 10) : 0;

    if (e->port[digits] != '\0' || port < 1 || port > last)
        return err(ERR_CONFIG, "metrics.%s '%.200s' has no port of 1 to %ld", e->key, e->text,
                   last);
    return 0;
}

/* An address, * or what may be a network interface. Bare IPv6 would be ambiguous. */
static int host_check(const struct endpoint *e, bool *loopback)
{
    unsigned char address[16];
    char inner[256], write[600];
    size_t n = strlen(e->host);

    snprintf(inner, sizeof inner, "%s", *e->host == '[' ? e->host + 1 : e->host);
    inner[strcspn(inner, "]")] = '\0';
    snprintf(write, sizeof write, TCP "[%s]:%s", inner, e->port);
    if (strchr(inner, ':') && *e->host != '[')
        return refuse(e, "has an IPv6 address without brackets", write);
    if (*e->host == '[' && (e->host[n - 1] != ']' || inet_pton(AF_INET6, inner, address) != 1))
        return refuse(e, "has no IPv6 address between its brackets", TCP "[::1]:PORT");
    if (*e->host != '[' && inner[strspn(inner, "0123456789.")] == '\0' &&
        inet_pton(AF_INET, inner, address) != 1)
        return refuse(e, "has no IPv4 address", TCP "127.0.0.1:PORT");
    snprintf(write, sizeof write, TCP "127.0.0.1:%s", e->port);
    if (strcasecmp(inner, LOCALHOST) == 0)
        return refuse(e, "has a name, but a socket is bound to an address", write);
    *loopback = strcmp(e->host, "[::1]") == 0 ||
                (strncmp(inner, "127.", 4) == 0 && inet_pton(AF_INET, inner, address) == 1);
    return 0;
}

static int endpoint_check(const char *key, const char *text, long last, bool *loopback)
{
    struct endpoint e = {.key = key, .text = text};

    if (strncmp(text, TCP, strlen(TCP)) != 0)
        return refuse_protocol(&e);
    TRY(endpoint_split(&e));
    TRY(port_check(&e, last));
    return host_check(&e, loopback);
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
