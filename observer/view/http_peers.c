/* http_peers.c - closes connections that send no request, so that others find room. */
#include <sys/socket.h>

#include "core/base/clock.h"
#include "observer/view/http_internal.h"

static struct peer *peer_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static int descriptor_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? info->connect_fd : -1;
}

void connection_end(struct MHD_Connection *c)
{
    int fd = descriptor_of(c);

    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

void peers_notice(void *context, struct MHD_Connection *c, void **place,
                  enum MHD_ConnectionNotificationCode what)
{
    struct peers *p = context;
    struct peer *one = *place;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED && one) {
        one->connection = NULL;
        p->n--;
    }
    if (what != MHD_CONNECTION_NOTIFY_STARTED)
        return;
    for (one = p->each; one < p->each + CONNECTIONS && one->connection;)
        one++;
    if (one == p->each + CONNECTIONS)
        return;
    *one = (struct peer){c, descriptor_of(c), false, clock_seconds()};
    *place = one;
    p->n++;
}

void peers_asked(struct MHD_Connection *c)
{
    struct peer *one = peer_of(c);

    if (one)
        one->asked = true;
}

void peers_answered(void *context, struct MHD_Connection *c, void **state,
                    enum MHD_RequestTerminationCode why)
{
    struct peer *one = peer_of(c);

    (void)context;
    (void)state;
    (void)why;
    if (one) {
        one->asked = false;
        one->since = clock_seconds();
    }
}

static void peer_end(struct peer *p)
{
    shutdown(p->fd, SHUT_RDWR);
    p->asked = true; /* once is enough */
}

static struct peer *oldest_silent(struct peers *p)
{
    struct peer *oldest = NULL;

    for (struct peer *one = p->each; one < p->each + CONNECTIONS; one++)
        if (one->connection && !one->asked && (!oldest || one->since < oldest->since))
            oldest = one;
    return oldest;
}

void peers_tend(struct peers *p, double now)
{
    struct peer *one;

    for (one = p->each; one < p->each + CONNECTIONS; one++)
        if (one->connection && !one->asked && now - one->since > SLOW)
            peer_end(one);
    for (int n = p->n; n > CONNECTIONS - CONNECTIONS_FREE && (one = oldest_silent(p)); n--)
        peer_end(one);
}
