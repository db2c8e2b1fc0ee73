/* The piece is a list of symbols, at first one for each byte. A heap holds every pair of neighbours that can
 * be joined, lowest rank first, then leftmost; joining two makes at most two new pairs. What the heap holds
 * of symbols that have been joined meanwhile is recognised when it comes up. n bytes make fewer than 3 n
 * pairs, so the time is n log n whatever the merges are; and since each joining leaves one symbol less, it
 * ends. */
#include "identity/text/tokenizer_parts.h"

typedef struct {
  gint32 id;          /* -1: joined to its left neighbour */
  gint32 left, right; /* neighbours, -1 at the ends */
} Symbol;

typedef struct {
  const Merge *merge;
  gint32 at; /* the pair's left symbol */
} Pair;

typedef struct {
  const Tokenizer *tokenizer;
  Symbol *symbol;
  Pair *heap;
  gsize waiting;
} Piece;

static const Merge *merge_of(const Tokenizer *tokenizer, gint32 left, gint32 right) {
  guint low = 0, high = tokenizer->merges->len;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    const Merge *merge = &g_array_index(tokenizer->merges, Merge, middle);
    if (merge->left == left && merge->right == right)
      return merge;
    if (merge->left < left || (merge->left == left && merge->right < right))
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

static gboolean before(const Pair *a, const Pair *b) {
  return a->merge->rank < b->merge->rank || (a->merge->rank == b->merge->rank && a->at < b->at);
}

/* Offers the pair that begins with the symbol `at`, if there is one. */
static void push(Piece *piece, gint32 at) {
  if (at < 0 || piece->symbol[at].right < 0)
    return;
  const Symbol *left = &piece->symbol[at], *right = &piece->symbol[left->right];
  Pair pair = {merge_of(piece->tokenizer, left->id, right->id), at};
  if (!pair.merge)
    return;
  gsize hole = piece->waiting++;
  for (; hole && before(&pair, &piece->heap[(hole - 1) / 2]); hole = (hole - 1) / 2)
    piece->heap[hole] = piece->heap[(hole - 1) / 2];
  piece->heap[hole] = pair;
}

static Pair pop(Piece *piece) {
  Pair first = piece->heap[0], last = piece->heap[--piece->waiting];
  gsize hole = 0;
  for (gsize child; (child = 2 * hole + 1) < piece->waiting; hole = child) {
    if (child + 1 < piece->waiting && before(&piece->heap[child + 1], &piece->heap[child]))
      child++;
    if (!before(&piece->heap[child], &last))
      break;
    piece->heap[hole] = piece->heap[child];
  }
  piece->heap[hole] = last;
  return first;
}

static void join(Piece *piece, Pair pair) {
  Symbol *left = &piece->symbol[pair.at];
  if (left->id != pair.merge->left || left->right < 0)
    return;
  Symbol *right = &piece->symbol[left->right];
  if (right->id != pair.merge->right)
    return;
  left->id = pair.merge->joined;
  right->id = -1;
  left->right = right->right;
  if (left->right >= 0)
    piece->symbol[left->right].left = pair.at;
  push(piece, left->left);
  push(piece, pair.at);
}

void bpe_encode(const Tokenizer *tokenizer, const guint8 *bytes, gsize length, GArray *ids) {
  if (!length)
    return;
  g_autofree Symbol *symbol = g_new(Symbol, length);
  g_autofree Pair *heap = g_new(Pair, 3 * length);
  Piece piece = {tokenizer, symbol, heap, 0};
  for (gsize i = 0; i < length; i++)
    symbol[i] = (Symbol){tokenizer->byte_id[bytes[i]], (gint32)i - 1, i + 1 < length ? (gint32)i + 1 : -1};
  for (gsize i = 0; i < length; i++)
    push(&piece, (gint32)i);
  while (piece.waiting)
    join(&piece, pop(&piece));
  for (gint32 i = 0; i >= 0; i = symbol[i].right)
    g_array_append_val(ids, symbol[i].id);
}
