/* line.h - reads a line of metrics.jsonl. */
#ifndef OBSERVER_SOURCE_LINE_H
#define OBSERVER_SOURCE_LINE_H

#include <jansson.h>

#include "observer/model/event.h"

/* Reads n bytes as an event: one JSON object with a text `kind`, names of letters, digits and _,
 * and values that are numbers, texts, null, truth values or lists of numbers. *holder owns what e
 * borrows: json_decref it after use. ERR_DATA says what is wrong. */
int line_read(const char *line, size_t n, struct event *e, json_t **holder);

#endif
