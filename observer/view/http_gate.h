/* http_gate.h - decides who is answered, by the address bound, the Host header and a token. */
#ifndef OBSERVER_VIEW_HTTP_GATE_H
#define OBSERVER_VIEW_HTTP_GATE_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>

enum { TOKEN_MAX = 128 };

struct gate {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address;
    bool loopback;
    char host[64]; /* of the address, as a URL has it */
    unsigned port;
    char token[TOKEN_MAX + 1]; /* "": none is asked for */
    char cookie[32];           /* its name */
};

/* Reads ADDR:PORT, [ADDR]:PORT, or :PORT for all addresses. If a token is needed and NULL is given,
 * one is drawn. ERR_USAGE. */
int gate_init(struct gate *g, const char *address, const char *token);

/* Puts the port that the system gave in the place of port 0. */
void gate_bound(struct gate *g, unsigned port);

enum verdict { GATE_YES, GATE_YES_COOKIE, GATE_HOST, GATE_TOKEN, GATE_FORM };

/* Whether a request is answered, or why not. A request with several Host headers is GATE_FORM. If
 * there is no token, the Host has to name this machine, so that a page from elsewhere cannot have
 * its own name resolved to us. If there is one, it comes as ?token=, which also sets the cookie, as
 * the cookie, or as "Authorization: Bearer". */
enum verdict gate_ask(const struct gate *g, struct MHD_Connection *c);

#endif
