/* Answers that are made later (api/http/http.h, answer_later): one thread asks for all of them, their
 * connections are suspended meanwhile. */
#pragma once
#include "api/http/http.h"

typedef struct Laters Laters;

Laters *laters_new(void);
/* Takes over a request whose answer is a promise and whose connection is suspended; it is resumed with the
 * answer. Any thread. */
void laters_add(Laters *laters, Request *request);
/* Answers all that wait, and from then on whatever is added, at once. */
void laters_stop(Laters *laters);
void laters_free(Laters *laters);
guint laters_count(Laters *laters);
