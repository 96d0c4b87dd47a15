/* test_config_metrics.c - addresses of the stream: each works, or the error says what to write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/config/config.h"

#define SMALL "data d {}\nstage s { data = d }\n"

static const struct {
    const char *address, *says; /* NULL: it is taken */
} tries[] = {
    {"tcp://127.0.0.1:5555", NULL},
    {"tcp://127.8.9.1:1", NULL},
    {"tcp://[::1]:5555", NULL},
    {"localhost:5555", "does not begin with tcp://: write tcp://127.0.0.1:5555"},
    {"LocalHost:7000", "does not begin with tcp://: write tcp://127.0.0.1:7000"},
    {"localhost6:5555", "does not begin with tcp://: write tcp://localhost6:5555"},
    {"127.0.0.1:5555", "does not begin with tcp://: write tcp://127.0.0.1:5555"},
    {"5555", "does not begin with tcp://: write tcp://127.0.0.1:5555"},
    {":5555", "does not begin with tcp://: write tcp://127.0.0.1:5555"},
    {"*:5555", "does not begin with tcp://: write tcp://*:5555"},
    {"localhost", "does not begin with tcp://: write tcp://127.0.0.1:5555"},
    {"tcp:/127.0.0.1:5555", "does not begin with tcp://"},
    {"ipc:///run/metaloop", "is not TCP: write tcp://ADDRESS:PORT"},
    {"TCP://127.0.0.1:5555", "is not TCP: write tcp://ADDRESS:PORT"},
    {"http://127.0.0.1:5555", "is not TCP: write tcp://ADDRESS:PORT"},
    {"tcp://localhost:5555", "a socket is bound to an address: write tcp://127.0.0.1:5555"},
    {"tcp://LOCALHOST:5555", "a socket is bound to an address: write tcp://127.0.0.1:5555"},
    {"tcp://127.0.0.1", "has no port: write tcp://127.0.0.1:5555"},
    {"tcp://localhost", "has no port: write tcp://127.0.0.1:5555"},
    {"tcp://[::1]", "has no port: write tcp://[::1]:5555"},
    {"tcp://", "has no port: write tcp://127.0.0.1:5555"},
    {"tcp://127.0.0.1:", "has no port of 1 to 65534"},
    {"tcp://127.0.0.1:0", "has no port of 1 to 65534"},
    {"tcp://127.0.0.1:70000", "has no port of 1 to 65534"},
    {"tcp://127.0.0.1:65535", "has no port of 1 to 65534"},
    {"tcp://127.0.0.1:-1", "has no port of 1 to 65534"},
    {"tcp://127.0.0.1:5555 ", "is not one address and port"},
    {"tcp://127.0.0.1:99999999999999999999", "has no port of 1 to 65534"},
    {"tcp://:5555", "is not one address and port"},
    {"tcp:// 127.0.0.1:5555", "is not one address and port"},
    {"tcp://127.0.0.1:5555;tcp://0.0.0.0:1", "is not one address and port"},
    {"tcp://127.0.0.1:5555,127.0.0.1:5557", "is not one address and port"},
    {"tcp://me@127.0.0.1:5555", "is not one address and port"},
    {"tcp://127.0.0.1:5555/", "is not one address and port"},
    {"tcp://::1:5555", "without brackets: write tcp://[::1]:5555"},
    {"tcp://[::1:5555", "brackets"},
    {"tcp://[localhost]:5555", "no IPv6 address between its brackets"},
    {"tcp://127.0.0.256:5555", "has no IPv4 address"},
    {"tcp://127.1:5555", "has no IPv4 address"},
    {"tcp://0.0.0.0:5555", "can be reached from other machines"},
    {"tcp://*:5555", "can be reached from other machines"},
    {"tcp://[::]:5555", "can be reached from other machines"},
    {"tcp://eth0:5555", "can be reached from other machines"},
    {"tcp://127.0.0.1.example.com:5555", "can be reached from other machines"},
};

static void try_key(const char *key, const char *address, const char *says, const char *more)
{
    char text[512], where[64];
    struct config c;
    int code;

    snprintf(text, sizeof text, SMALL "metrics { %s = \"%s\" %s }\n", key, address, more);
    code = config_parse(&c, text, "f.conf", NULL, 0, NULL);
    snprintf(where, sizeof where, "metrics.%s", key);
    if (code != (says ? ERR_CONFIG : 0) ||
        (says && (!strstr(err_text(), says) || !strstr(err_text(), where))))
        fail_msg("%s = \"%s\": %d, %s", key, address, code, code < 0 ? err_text() : "");
    config_release(&c);
}

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        try_key("endpoint", tries[i].address, tries[i].says, "");
}

/* The same for the address of snapshots, whose port may be the last one. */
static void test_addresses_of_snapshots(void **state)
{
    (void)state;
    for (size_t i = 1; i < sizeof tries / sizeof *tries; i++)
        if (!tries[i].says || !strstr(tries[i].says, "65534"))
            try_key("snapshot", tries[i].address, tries[i].says, "");
    try_key("snapshot", "tcp://127.0.0.1:65535", NULL, "");
    try_key("snapshot", "tcp://127.0.0.1:65536", "has no port of 1 to 65535", "");
}

static void test_addresses_that_others_reach(void **state)
{
    (void)state;
    const char *more[] = {"insecure = true", "server_key = k allowed = a"};

    for (int i = 0; i < 2; i++) {
        try_key("endpoint", "tcp://*:5555", NULL, more[i]);
        try_key("endpoint", "tcp://[::]:5555", NULL, more[i]);
        try_key("endpoint", "tcp://eth0:5555", NULL, more[i]);
        try_key("endpoint", "tcp://localhost:5555", "tcp://127.0.0.1:5555", more[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_addresses_of_snapshots),
        cmocka_unit_test(test_addresses_that_others_reach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
