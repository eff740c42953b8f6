/* Debian's HDF5 can also read files from S3, with libcurl and OpenSSL, which bring 25 libraries with them.
   Nothing here does that, so that a tree to copy holds, in place of those two, this: their functions that
   HDF5 calls, all of which fail. */
#include <stddef.h>

int curl_global_init(long flags) {
  (void)flags;
  return 1;
}
void curl_global_cleanup(void) {}
void* curl_easy_init(void) {
  return NULL;
}
int curl_easy_setopt(void* handle, int option, ...) {
  (void)handle;
  (void)option;
  return 1;
}
int curl_easy_perform(void* handle) {
  (void)handle;
  return 1;
}
void curl_easy_cleanup(void* handle) {
  (void)handle;
}
void* curl_slist_append(void* list, const char* line) {
  (void)list;
  (void)line;
  return NULL;
}
void curl_slist_free_all(void* list) {
  (void)list;
}

const void* EVP_sha256(void) {
  return NULL;
}
unsigned char* HMAC(const void* digest, const void* key, int key_size, const unsigned char* data, size_t size,
                    unsigned char* result, unsigned int* result_size) {
  (void)digest, (void)key, (void)key_size, (void)data, (void)size, (void)result, (void)result_size;
  return NULL;
}
unsigned char* SHA256(const unsigned char* data, size_t size, unsigned char* result) {
  (void)data, (void)size, (void)result;
  return NULL;
}
