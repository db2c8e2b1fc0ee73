/* A data folder with an account that has credits, files to send, and a worker that does nothing but end jobs.
 */
#pragma once
#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "app/making/renders.h"

#define COMPANY_CREDITS (1000 * CREDIT)
#define COMPANY_CLIP_SECONDS 1.5

typedef struct {
  char *folder;
  Settings *settings;
  App *app;
  Caller *caller;
} Company;

int company_setup(void **state); /* of each test */
int company_teardown(void **state);

/* A source that names a fresh draft with these contents; its strings live as long as the company. */
InputSource company_picture(Company *company, const char *field);
/* So many different pictures, the fields "images[0]" …; sources[count]. */
void company_pictures(Company *company, int count, InputSource *sources);
void company_sources_clear(InputSource *sources, int count);
InputSource company_clip(Company *company, const char *field);
InputSource company_file(Company *company, const char *field, const void *bytes, gsize length);

/* Made and ended by the worker; ids transfer full. */
char *company_character(Company *company);
/* With two people, whose segments it has; background NULL: the usual one. */
char *company_scene(Company *company, const char *model, const char *background);
char *company_segment(Company *company, const char *scene, int index);

gint64 company_balance(Company *company);
gint64 company_count(Company *company, const char *table);
/* Files in the store's folder of drafts. */
int company_drafts(Company *company);
void company_expect(GError **error, Refusal why, const char *word);
