#include "io/files/checksum.h"

#include <fmt/format.h>

// Where the library can choose the widest vectors that the processor has, with the same sums.
#if __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include <new>

#include "io/files/durable_file.h"

namespace cola {

Checksum::Checksum() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_128bits_reset(state_.get());
}

void Checksum::Release::operator()(XXH3_state_s* state) const {
  XXH3_freeState(state);
}

void Checksum::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
}

std::string Checksum::digits() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string checksum_of(std::span<const std::byte> bytes) {
  Checksum checksum;
  checksum.update(bytes);
  return checksum.digits();
}

std::string checksum_of(std::string_view text) {
  return checksum_of(std::as_bytes(std::span(text)));
}

std::string checksum_of_file(const std::string& path) {
  Checksum checksum;
  FileDescriptor::open_to_read(path).for_each_block(
      [&](std::int64_t, std::span<const std::byte> block) { checksum.update(block); });
  return checksum.digits();
}

}  // namespace cola
