/* Mutations of XML and JSON that keep them well-formed, so that more than the parser is reached. */
#ifndef OKTASSO_FUZZ_MUTATE_H
#define OKTASSO_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* For a target's LLVMFuzzerCustomMutator: these change the tree, or else the bytes as libFuzzer would. */
size_t mutate_xml(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t mutate_json(uint8_t *data, size_t size, size_t max, unsigned seed);
/* A number below `below`, and the next seed. */
unsigned mutate_draw(unsigned *seed, unsigned below);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

#endif
