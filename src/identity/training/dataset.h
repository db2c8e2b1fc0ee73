/* What a LoRA is trained on: pictures as tokens, captions as text features, both computed once.
 *
 *   g_autoptr(Dataset) dataset = dataset_new(128, n_text, context);
 *   DatasetPicture picture = {.picture = image, .caption = "portrait of a zqx person"};
 *   if (!dataset_add(dataset, autoencoder, &picture, resolution, error) || …
 *       !dataset_read_captions(dataset, features, user, error)) …
 */
#pragma once
#include "base/fault.h"
#include "base/image.h"
#include "identity/picture/autoencoder.h"

#define DATASET_MIN_PICTURES 10
#define DATASET_MAX_PICTURES 30

typedef enum {
  DATASET_LEARN,  /* the character */
  DATASET_REPLAY, /* what must stay as it is: other people, learnt along (prior preservation) */
  DATASET_HELD,   /* not learnt from: the loss on it says when to stop */
} DatasetPart;

typedef struct {
  gint64 height, width; /* in tokens */
  float *tokens;        /* [height · width, channels] */
  float *weights;       /* of each token in the loss, mean 1; NULL: all alike */
  char *caption;
  int features; /* index into Dataset.features */
} DatasetItem;

typedef struct {
  gint64 channels, n_text, context;
  GPtrArray *parts[3]; /* by DatasetPart; element DatasetItem */
  GPtrArray *features; /* float [n_text, context]; the first is that of the empty caption */
  GPtrArray *captions; /* of the features, in the same order */
} Dataset;

Dataset *dataset_new(gint64 channels, gint64 n_text, gint64 context);
void dataset_free(Dataset *dataset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dataset, dataset_free)

typedef struct {
  const Image *picture; /* alpha, where there is one, is the mask as well; what is behind becomes white */
  const Image *mask;    /* white is the figure, any size of the same shape; or NULL */
  const char *caption;
  DatasetPart part;
} DatasetPicture;
/* FAULT_LIMIT for sizes that fit no bucket. */
gboolean dataset_add(Dataset *dataset, Autoencoder *autoencoder, const DatasetPicture *picture,
                     gint64 resolution, GError **error);
/* One that is tokens already, which are copied; weights may be NULL. */
void dataset_add_tokens(Dataset *dataset, DatasetPart part, const float *tokens, const float *weights,
                        gint64 height, gint64 width, const char *caption);

/* Features of a text, [n_text, context], the callee's; NULL with *error. */
typedef const float *(*DatasetFeatures)(const char *text, gpointer user, GError **error);
/* Once, after all pictures: each different caption is read once. */
gboolean dataset_read_captions(Dataset *dataset, DatasetFeatures features, gpointer user, GError **error);

gint64 dataset_tokens_max(const Dataset *dataset); /* of the largest picture */
gint64 dataset_bytes(const Dataset *dataset);
/* A checksum of all that is learnt from, as hexadecimal text (transfer full). */
char *dataset_checksum(const Dataset *dataset);

/* Weights of tokens from a mask of the picture's size in pixels: the figure counts 1, what is around it
 * DATASET_BACKGROUND, then all are scaled to a mean of 1 (transfer full). NULL where the mask is empty or
 * full, which says nothing. */
#define DATASET_BACKGROUND .3
float *dataset_weights(const Image *mask);
