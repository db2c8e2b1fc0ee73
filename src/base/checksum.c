#include "base/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)

Checksum *checksum_new(void) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
    g_error("SHA-256 is not available in libcrypto");
  return (Checksum *)context;
}

void checksum_update(Checksum *checksum, gconstpointer bytes, gsize length) {
  EVP_DigestUpdate((EVP_MD_CTX *)checksum, bytes, length);
}

char *checksum_hex(Checksum *checksum) {
  guint8 digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_DigestFinal_ex((EVP_MD_CTX *)checksum, digest, &length);
  char *hex = g_malloc(2 * length + 1);
  for (unsigned int i = 0; i < length; i++) {
    hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
    hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
  }
  hex[2 * length] = '\0';
  return hex;
}

void checksum_free(Checksum *checksum) {
  EVP_MD_CTX_free((EVP_MD_CTX *)checksum);
}

char *checksum_file(const char *path, gint64 *bytes, GError **error) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", path, g_strerror(errno));
  g_autoptr(Checksum) checksum = checksum_new();
  g_autofree guint8 *buffer = g_malloc(READ_BYTES);
  gint64 total = 0;
  gssize got;
  while ((got = read(fd, buffer, READ_BYTES)) > 0 || (got < 0 && errno == EINTR))
    if (got > 0) {
      checksum_update(checksum, buffer, (gsize)got);
      total += got;
    }
  int why = errno;
  close(fd);
  if (got < 0)
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", path, g_strerror(why));
  if (bytes)
    *bytes = total;
  return checksum_hex(checksum);
}
