/* What nobody needs any more. */
#pragma once
#include "app/app.h"

/* Removes the results of Renders that have expired (the job stays complete), idempotency names of more than a
 * day, deliveries of more than 30 days, uploads of more than UPLOAD_DAYS, scratch folders of jobs that do not
 * run, and objects that no row holds and that were put more than Settings.sweep_age ago; how many objects
 * went, or -1. Several processes may call it. */
int sweep(App *app, GError **error);
