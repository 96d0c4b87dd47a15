/* net_torch.c - its layers' modules in __init__, their outputs in forward. */
#include "core/math/net_torch.h"

#include <string.h>

static void print_classes(const struct net *net, FILE *out)
{
    for (int i = 0; i < net->n_layers; i++) {
        const char *text = net->layers[i].ops->torch_class;
        int first = 0;

        while (net->layers[first].ops->torch_class != text)
            first++;
        if (text && first == i)
            fprintf(out, "\n\n%s", text);
    }
}

/* The text of layer i, whose input is flat or not. */
static struct torch_text text_of(const struct net *net, int i, bool flat)
{
    struct torch_text t = {.flat = flat};
    char name[48];

    net_layer_name(net, i, name, sizeof name);
    net->layers[i].ops->torch(&net->layers[i], name, &t);
    return t;
}

static void print_init(const struct net *net, FILE *out)
{
    bool flat = false;

    fputs("\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n", out);
    for (int i = 0; i < net->n_layers; i++) {
        struct torch_text t = text_of(net, i, flat);
        char name[48];

        net_layer_name(net, i, name, sizeof name);
        if (t.module[0])
            fprintf(out, "        self.%s = %s\n", name, t.module);
        flat = t.flat;
    }
}

static int head_of(const struct net *net)
{
    for (int i = net->n_layers - 1; i >= 0; i--)
        if (net->layers[i].spec.head)
            return i;
    return -1;
}

void net_torch(const struct net *net, FILE *out)
{
    int head = head_of(net);
    bool flat = false;

    fputs("import torch\nimport torch.nn.functional as F\nfrom torch import nn\n", out);
    print_classes(net, out);
    print_init(net, out);
    fprintf(out, "\n    def %s(self, x):\n", head < 0 ? "forward" : "features");
    for (int i = 0; i < net->n_layers; i++) {
        struct torch_text t = text_of(net, i, flat);

        if (i == head)
            fputs("        return x\n\n    def forward(self, x):\n        x = self.features(x)\n",
                  out);
        if (strcmp(t.forward, "x") != 0)
            fprintf(out, "        x = %s\n", t.forward);
        flat = t.flat;
    }
    fputs("        return x\n", out);
}
