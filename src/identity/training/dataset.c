/* Pictures are cut to their bucket and go through the autoencoder when they are added; captions are gathered
 * and read later, so that the text encoder and the autoencoder need not be in memory together. */
#include "identity/training/dataset.h"

#include "identity/training/buckets.h"
#include <string.h>

static void item_free(gpointer data) {
  DatasetItem *item = data;
  g_free(item->tokens);
  g_free(item->weights);
  g_free(item->caption);
  g_free(item);
}

Dataset *dataset_new(gint64 channels, gint64 n_text, gint64 context) {
  Dataset *dataset = g_new0(Dataset, 1);
  dataset->channels = channels;
  dataset->n_text = n_text;
  dataset->context = context;
  for (gsize i = 0; i < G_N_ELEMENTS(dataset->parts); i++)
    dataset->parts[i] = g_ptr_array_new_with_free_func(item_free);
  dataset->features = g_ptr_array_new_with_free_func(g_free);
  dataset->captions = g_ptr_array_new_with_free_func(g_free);
  return dataset;
}

void dataset_free(Dataset *dataset) {
  if (!dataset)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS(dataset->parts); i++)
    g_ptr_array_unref(dataset->parts[i]);
  g_ptr_array_unref(dataset->features);
  g_ptr_array_unref(dataset->captions);
  g_free(dataset);
}

/* --- pictures --- */

static DatasetItem *add_item(Dataset *dataset, DatasetPart part, gint64 height, gint64 width,
                             const char *caption) {
  DatasetItem *item = g_new0(DatasetItem, 1);
  item->height = height;
  item->width = width;
  item->tokens = g_new(float, (gsize)(height * width * dataset->channels));
  item->caption = g_strdup(caption);
  g_ptr_array_add(dataset->parts[part], item);
  return item;
}

void dataset_add_tokens(Dataset *dataset, DatasetPart part, const float *tokens, const float *weights,
                        gint64 height, gint64 width, const char *caption) {
  DatasetItem *item = add_item(dataset, part, height, width, caption);
  memcpy(item->tokens, tokens, sizeof *tokens * (gsize)(height * width * dataset->channels));
  if (weights)
    item->weights = g_memdup2(weights, sizeof *weights * (gsize)(height * width));
}

/* The colours under transparent pixels are whatever the drawing program left there. */
static Image *before_white(const Image *picture) {
  if (picture->channels != 4)
    return image_convert(picture, 3);
  Image *rgb = image_new(picture->width, picture->height, 3);
  for (gsize i = 0; i < (gsize)picture->width * (gsize)picture->height; i++)
    for (int k = 0; k < 3; k++) {
      int alpha = picture->pixels[4 * i + 3];
      rgb->pixels[3 * i + (gsize)k] =
          (guint8)((picture->pixels[4 * i + (gsize)k] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  return rgb;
}

static Image *alpha_of(const Image *picture) {
  Image *mask = image_new(picture->width, picture->height, 1);
  for (gsize i = 0; i < (gsize)picture->width * (gsize)picture->height; i++)
    mask->pixels[i] = picture->pixels[4 * i + 3];
  return mask;
}

static Image *mask_of(const DatasetPicture *picture) {
  if (!picture->mask)
    return picture->picture->channels == 4 ? alpha_of(picture->picture) : NULL;
  g_autoptr(Image) grey = image_convert(picture->mask, 1);
  return image_resize(grey, picture->picture->width, picture->picture->height);
}

float *dataset_weights(const Image *mask) {
  gint64 width = mask->width / AUTOENCODER_PATCH, height = mask->height / AUTOENCODER_PATCH;
  float *weights = g_new0(float, (gsize)(width * height));
  double sum = 0, lowest = 1, highest = 0, share = 1.0 / (255.0 * AUTOENCODER_PATCH * AUTOENCODER_PATCH);
  for (gint64 i = 0; i < width * height; i++) {
    guint inside = 0;
    for (int y = 0; y < AUTOENCODER_PATCH; y++)
      for (int x = 0; x < AUTOENCODER_PATCH; x++)
        inside += *image_at(mask, (int)(i % width) * AUTOENCODER_PATCH + x,
                            (int)(i / width) * AUTOENCODER_PATCH + y);
    double figure = inside * share;
    lowest = MIN(lowest, figure);
    highest = MAX(highest, figure);
    weights[i] = (float)(DATASET_BACKGROUND + (1 - DATASET_BACKGROUND) * figure);
    sum += (double)weights[i];
  }
  if (highest - lowest < .5) {
    g_free(weights);
    return NULL;
  }
  for (gint64 i = 0; i < width * height; i++)
    weights[i] = (float)((double)weights[i] * (double)(width * height) / sum);
  return weights;
}

gboolean dataset_add(Dataset *dataset, Autoencoder *autoencoder, const DatasetPicture *picture,
                     gint64 resolution, GError **error) {
  Bucket bucket;
  if (dataset->channels != AUTOENCODER_CHANNELS)
    return fault(error, FAULT_INPUT, "The model's tokens are not those of its autoencoder.");
  if (!bucket_plan(picture->picture->width, picture->picture->height, resolution, &bucket, error))
    return FALSE;
  g_autoptr(Image) rgb = before_white(picture->picture), cut = bucket_cut(&bucket, rgb);
  g_autoptr(Image) mask = mask_of(picture), mask_cut = mask ? bucket_cut(&bucket, mask) : NULL;
  g_autofree float *pixels = g_new(float, 3 * (gsize)bucket.width * (gsize)bucket.height);
  autoencoder_from_image(cut, pixels);
  DatasetItem *item = add_item(dataset, picture->part, bucket.height / AUTOENCODER_PATCH,
                               bucket.width / AUTOENCODER_PATCH, picture->caption);
  item->weights = mask_cut ? dataset_weights(mask_cut) : NULL;
  if (autoencoder_encode(autoencoder, pixels, bucket.height, bucket.width, item->tokens, error))
    return TRUE;
  g_ptr_array_set_size(dataset->parts[picture->part], (int)dataset->parts[picture->part]->len - 1);
  return FALSE;
}

/* --- captions --- */

/* Its index, or -1 with *error. */
static int read_caption(Dataset *dataset, const char *text, DatasetFeatures features, gpointer user,
                        GError **error) {
  guint index;
  if (g_ptr_array_find_with_equal_func(dataset->captions, text, g_str_equal, &index))
    return (int)index;
  const float *found = features(text, user, error);
  if (!found)
    return -1;
  g_ptr_array_add(dataset->features,
                  g_memdup2(found, sizeof *found * (gsize)(dataset->n_text * dataset->context)));
  g_ptr_array_add(dataset->captions, g_strdup(text));
  return (int)dataset->captions->len - 1;
}

gboolean dataset_read_captions(Dataset *dataset, DatasetFeatures features, gpointer user, GError **error) {
  if (read_caption(dataset, "", features, user, error) < 0)
    return FALSE;
  for (gsize part = 0; part < G_N_ELEMENTS(dataset->parts); part++)
    for (guint i = 0; i < dataset->parts[part]->len; i++) {
      DatasetItem *item = dataset->parts[part]->pdata[i];
      item->features = read_caption(dataset, item->caption, features, user, error);
      if (item->features < 0)
        return FALSE;
    }
  return TRUE;
}

/* --- facts --- */

static gint64 item_tokens(const DatasetItem *item) {
  return item->height * item->width;
}

gint64 dataset_tokens_max(const Dataset *dataset) {
  gint64 most = 0;
  for (gsize part = 0; part < G_N_ELEMENTS(dataset->parts); part++)
    for (guint i = 0; i < dataset->parts[part]->len; i++)
      most = MAX(most, item_tokens(dataset->parts[part]->pdata[i]));
  return most;
}

gint64 dataset_bytes(const Dataset *dataset) {
  gint64 floats = (gint64)dataset->features->len * dataset->n_text * dataset->context;
  for (gsize part = 0; part < G_N_ELEMENTS(dataset->parts); part++)
    for (guint i = 0; i < dataset->parts[part]->len; i++)
      floats += item_tokens(dataset->parts[part]->pdata[i]) * (dataset->channels + 1);
  return floats * (gint64)sizeof(float);
}

static void hash_item(GChecksum *sum, const Dataset *dataset, const DatasetItem *item) {
  const gint64 facts[] = {item->height, item->width, item->features, item->weights != NULL};
  g_checksum_update(sum, (const guchar *)facts, sizeof facts);
  g_checksum_update(sum, (const guchar *)item->tokens,
                    (gssize)(item_tokens(item) * dataset->channels * (gint64)sizeof(float)));
  if (item->weights)
    g_checksum_update(sum, (const guchar *)item->weights,
                      (gssize)(item_tokens(item) * (gint64)sizeof(float)));
}

char *dataset_checksum(const Dataset *dataset) {
  g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
  for (gsize part = 0; part < G_N_ELEMENTS(dataset->parts); part++) {
    gint64 count = dataset->parts[part]->len;
    g_checksum_update(sum, (const guchar *)&count, sizeof count);
    for (guint i = 0; i < dataset->parts[part]->len; i++)
      hash_item(sum, dataset, dataset->parts[part]->pdata[i]);
  }
  for (guint i = 0; i < dataset->features->len; i++)
    g_checksum_update(sum, dataset->features->pdata[i],
                      (gssize)(dataset->n_text * dataset->context * (gint64)sizeof(float)));
  return g_strdup(g_checksum_get_string(sum));
}
