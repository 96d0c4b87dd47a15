/* leak_check.h - whether what a stage is measured on is new to it. */
#ifndef LAUNCH_LEAK_CHECK_H
#define LAUNCH_LEAK_CHECK_H

#include "core/plan/setup.h"

/* A warning line for each two sections of which a few-shot stage is measured on one and was trained
 * on the other, and that share a class name. ERR_MEMORY. */
int leak_warn(const struct setup *s);

/* `metaloop check --leaks`: compares class names (few-shot) and every image of what each stage, or
 * one that it goes on from, is trained on with what it is measured on. A line for each two
 * sections; ERR_DATA names the first class or image that they share. */
int leak_check(const struct setup *s);

#endif
