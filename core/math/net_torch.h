/* net_torch.h - a network as a module of PyTorch, in Python. */
#ifndef CORE_MATH_NET_TORCH_H
#define CORE_MATH_NET_TORCH_H

#include <stdio.h>

#include "core/math/net.h"

/* Writes the imports, the classes of layers that torch does not have, and a class Net whose
 * parameters have the names and shapes of net->layout. Its input is [n, channels, height, width];
 * features() is what enters the head, if there is one. Every layer of the net has a torch slot. */
void net_torch(const struct net *net, FILE *out);

#endif
