/* http_gate.c - refuses a request unless it shows that it is allowed. */
#include "observer/view/http_gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "core/base/err.h"

static int host_read(struct gate *g, const char *host)
{
    bool six = strchr(host, ':') != NULL;

    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (!*host || strcmp(host, "*") == 0)
        host = "0.0.0.0";
    g->address.any.sa_family = six ? AF_INET6 : AF_INET;
    if (inet_pton(g->address.any.sa_family, host,
                  six ? (void *)&g->address.six.sin6_addr : &g->address.four.sin_addr) != 1)
        return err(ERR_USAGE, "--http: '%s' is not an address", host);
    g->loopback = six ? IN6_IS_ADDR_LOOPBACK(&g->address.six.sin6_addr)
                      : ntohl(g->address.four.sin_addr.s_addr) >> 24 == 127;
    snprintf(g->host, sizeof g->host, six ? "[%s]" : "%s", host);
    return 0;
}

static int address_read(struct gate *g, const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[64], *end;
    size_t n = colon ? (size_t)(colon - text) : 0;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;

    if (!colon || n >= sizeof host || end == colon + 1 || *end || port > 65535)
        return err(ERR_USAGE, "--http '%s' is not ADDR:PORT", text);
    if (n > 1 && text[0] == '[' && text[n - 1] == ']')
        snprintf(host, sizeof host, "%.*s", (int)n - 2, text + 1);
    else
        snprintf(host, sizeof host, "%.*s", (int)n, text);
    TRY(host_read(g, host));
    g->address.four.sin_port = htons((uint16_t)port); /* at the same offset for both families */
    return 0;
}

static int token_draw(struct gate *g)
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return err(ERR_FAILED, "cannot draw a token: %s", strerror(errno));
    for (int i = 0; i < 16; i++)
        sprintf(g->token + 2 * i, "%02x", bytes[i]);
    return 0;
}

int gate_init(struct gate *g, const char *address, const char *token)
{
    *g = (struct gate){0};
    TRY(address_read(g, address));
    if (token && (strlen(token) < 8 || strlen(token) > TOKEN_MAX ||
                  strspn(token, "0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") < strlen(token)))
        return err(ERR_USAGE, "--token: 8 to %d letters, digits, - and _", TOKEN_MAX);
    if (token)
        strcpy(g->token, token);
    return token || g->loopback ? 0 : token_draw(g);
}

void gate_bound(struct gate *g, unsigned port)
{
    g->port = port;
    snprintf(g->cookie, sizeof g->cookie, "metaloop_%u", port);
}

/* Compares in a time that does not depend on where the texts differ. */
static bool same_token(const struct gate *g, const char *given)
{
    size_t n = strlen(g->token);
    unsigned char differ = !given || strlen(given) != n;

    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)(g->token[i] ^ (given && strlen(given) == n ? given[i] : 0));
    return differ == 0;
}

/* True if the host is exactly one of this machine's, followed by a port or nothing:
 * "localhost.evil.example" and "[::1].evil.example" are names of other machines. */
static bool is_here(const struct gate *g, const char *host)
{
    const char *const names[] = {"localhost", "127.0.0.1", "[::1]", g->host};

    for (size_t i = 0; host && i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        const char *port = host + n;

        if (n == 0 || strncasecmp(host, names[i], n) != 0)
            continue;
        if (!*port || (port[0] == ':' && port[1] && strlen(port) <= 6 &&
                       strspn(port + 1, "0123456789") == strlen(port + 1)))
            return true;
    }
    return false;
}

static enum MHD_Result host_count(void *n, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    (void)kind;
    (void)value;
    *(int *)n += strcasecmp(key, "Host") == 0;
    return MHD_YES;
}

enum verdict gate_ask(const struct gate *g, struct MHD_Connection *c)
{
    const char *header = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");

    int hosts = 0;

    MHD_get_connection_values(c, MHD_HEADER_KIND, host_count, &hosts);
    if (hosts > 1)
        return GATE_FORM;
    if (!*g->token)
        return is_here(g, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host")) ? GATE_YES
                                                                                   : GATE_HOST;
    if (same_token(g, MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "token")))
        return GATE_YES_COOKIE;
    if (same_token(g, MHD_lookup_connection_value(c, MHD_COOKIE_KIND, g->cookie)))
        return GATE_YES;
    if (header && strncmp(header, "Bearer ", 7) == 0 && same_token(g, header + 7))
        return GATE_YES;
    return GATE_TOKEN;
}
