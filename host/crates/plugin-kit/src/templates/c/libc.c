/* The small part of C's library that a plugin needs: blocks in sizes of powers of two, each size with a list of free ones. */
#include <stdint.h>
#include "stdlib.h"
#include "string.h"

extern unsigned char __heap_base;

typedef struct block {
  size_t order;
  struct block *next;
} block;

enum { HEAD = 16, LEAST = 5, MOST = 31 };

static block *unused[MOST + 1];
static uintptr_t top;

void *malloc(size_t size) {
  size_t order = LEAST;
  if (size > ((size_t)1 << 30)) return NULL;
  while (((size_t)1 << order) < size + HEAD) order++;
  block *found = unused[order];
  if (found) {
    unused[order] = found->next;
    return (char *)found + HEAD;
  }
  if (!top) top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
  uintptr_t end = top + ((uintptr_t)1 << order), have = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
  if (end < top) return NULL;
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (size_t)-1) return NULL;
  found = (block *)top;
  found->order = order;
  top = end;
  return (char *)found + HEAD;
}

void free(void *old) {
  if (!old) return;
  block *gone = (block *)((char *)old - HEAD);
  gone->next = unused[gone->order];
  unused[gone->order] = gone;
}

void *realloc(void *old, size_t size) {
  if (!old) return malloc(size);
  size_t have = ((size_t)1 << ((block *)((char *)old - HEAD))->order) - HEAD;
  if (size <= have) return old;
  void *larger = malloc(size);
  if (larger) {
    memcpy(larger, old, have);
    free(old);
  }
  return larger;
}

_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *to, const void *from, size_t size) {
  char *at = to;
  for (const char *byte = from; size--;) *at++ = *byte++;
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  char *target = to;
  const char *source = from;
  if (target < source) return memcpy(to, from, size);
  while (size--) target[size] = source[size];
  return to;
}

void *memset(void *to, int byte, size_t size) {
  for (char *at = to; size--;) *at++ = (char)byte;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *left = a, *right = b;
  for (; size--; left++, right++)
    if (*left != *right) return *left - *right;
  return 0;
}

size_t strlen(const char *text) {
  size_t size = 0;
  while (text[size]) size++;
  return size;
}
