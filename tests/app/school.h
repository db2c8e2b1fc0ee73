/* A company with credits and models to train on, and a server of pictures beside it: /N.png is a picture,
 * /missing is not there, /page is a page of text, /large is too large for a training; whatever else hangs up.
 */
#pragma once
#include "company.h"

#include "app/making/trainings.h"

#define SCHOOL_CREDITS (10000 * CREDIT)
/* Objects that need not be there. */
#define SCHOOL_LORA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SCHOOL_IMAGE "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34"

/* sprite can be trained, distilled cannot. */
extern char *school_models;
int school_setup_group(void **state);
int school_teardown_group(void **state);
int school_setup(void **state); /* of each test; company_teardown ends it */
/* How many requests the server of pictures has had. */
int school_requests(void);

/* So many URLs of pictures, image_urls[0] …; path: on the server, or a whole URL. */
InputSource *school_urls(int count);
void school_urls_free(InputSource *sources, int count);
void school_set_url(InputSource *source, const char *path);

gboolean school_create(Company *company, const TrainingRequest *request, CharacterRow **row, GError **error);
/* Nothing may stay of a refused request. */
void school_refused(Company *company, const TrainingRequest *request, Refusal why, const char *word);
/* One whose training waits. */
CharacterRow *school_character(Company *company, int pictures);
TrainingRow *school_training(Company *company, const char *id);

Job *school_claim(Company *company, const char *pool);
/* Ends a training well. */
void school_finish(Company *company, const Job *job, const char *lora);
/* Puts an object into the store. */
char *school_put(Company *company, const char *content);
char *school_held(Company *company, const char *id, const char *role);
/* The ledger sums to the balance. */
void school_books(Company *company);
