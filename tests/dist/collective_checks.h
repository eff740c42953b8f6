// Checks of a communicator that hold for every transport and number of ranks, against sums computed plainly.
// Called by every rank.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "core/philox.h"
#include "dist/communicator.h"

namespace cola::testing {

/// A small whole number that differs by rank and element, so that float sums are exact in any order.
inline float small_number(int rank, std::size_t element) {
  return static_cast<float>(philox(7, element, static_cast<std::uint64_t>(rank))[0] % 2001) - 1000.0f;
}
inline std::vector<float> small_numbers(int rank, std::size_t elements) {
  std::vector<float> values(elements);
  for (std::size_t i = 0; i < elements; ++i) values[i] = small_number(rank, i);
  return values;
}
inline float plain_sum(int ranks, std::size_t element) {
  float sum = 0;
  for (int rank = 0; rank < ranks; ++rank) sum += small_number(rank, element);
  return sum;
}

inline void check_blocking_collectives(Communicator& communicator) {
  const int rank = communicator.rank(), size = communicator.size();
  std::vector<double> numbers(17);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = small_number(rank, i) / 4.0;
  communicator.all_reduce(std::span(numbers));
  for (std::size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], plain_sum(size, i) / 4.0) << i;

  const std::int64_t large = std::int64_t{1} << 40;
  std::vector<std::int64_t> largest{rank, -rank, 5, large + rank};
  communicator.all_reduce_maximum(largest);
  EXPECT_EQ(largest, (std::vector<std::int64_t>{size - 1, 0, 5, large + size - 1}));

  for (int root = 0; root < size; ++root) {
    std::vector<float> values = small_numbers(rank, 23);
    communicator.broadcast(std::as_writable_bytes(std::span(values)), root);
    EXPECT_EQ(values, small_numbers(root, 23)) << "root " << root;
  }
  communicator.barrier();
}

// Texts of different lengths, one of them empty, with a zero byte inside.
inline void check_texts(Communicator& communicator) {
  const auto text_of = [](int rank) {
    return std::string(static_cast<std::size_t>(rank) * 3, '\0') + (rank ? "x" : "");
  };
  const std::vector<std::string> texts = communicator.all_gather(text_of(communicator.rank()));
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(communicator.size()));
  for (int rank = 0; rank < communicator.size(); ++rank)
    EXPECT_EQ(texts[static_cast<std::size_t>(rank)], text_of(rank));
}

// Several collectives at a time, waited for in another order than they were started in.
inline void check_pending_collectives(Communicator& communicator, std::size_t chunk) {
  const int rank = communicator.rank(), size = communicator.size();
  const std::size_t elements = chunk * static_cast<std::size_t>(size),
                    first = chunk * static_cast<std::size_t>(rank);
  std::vector<float> scattered = small_numbers(rank, elements), sum(chunk, -1.0f);
  std::vector<float> reduced = small_numbers(rank, elements), gathered(elements, -1.0f);
  const std::vector<float> own = small_numbers(rank, chunk);
  std::copy(own.begin(), own.end(), gathered.begin() + static_cast<std::ptrdiff_t>(first));

  auto scatter = communicator.start_reduce_scatter(scattered, sum);
  auto reduce = communicator.start_all_reduce(reduced);
  auto gather = communicator.start_all_gather(std::as_writable_bytes(std::span(gathered)));
  scatter->progress();
  gather->wait();
  reduce->wait();
  scatter->wait();

  for (std::size_t i = 0; i < chunk; ++i) ASSERT_EQ(sum[i], plain_sum(size, first + i)) << i;
  for (std::size_t i = 0; i < elements; ++i) ASSERT_EQ(reduced[i], plain_sum(size, i)) << i;
  for (std::size_t i = 0; i < elements; ++i)
    ASSERT_EQ(gathered[i], small_number(static_cast<int>(i / chunk), i % chunk)) << i;
}

// Values whose sum depends on the order of addition: twice the same bits.
inline void check_repeatability(Communicator& communicator) {
  const std::size_t chunk = 5003, elements = chunk * static_cast<std::size_t>(communicator.size());
  const auto sum_once = [&] {
    std::vector<float> values(elements), sums(chunk + elements);
    for (std::size_t i = 0; i < elements; ++i)
      values[i] = philox_normal(11 + static_cast<std::uint64_t>(communicator.rank()), i);
    communicator.start_reduce_scatter(values, std::span(sums).first(chunk))->wait();
    std::copy(values.begin(), values.end(), sums.begin() + static_cast<std::ptrdiff_t>(chunk));
    communicator.start_all_reduce(std::span(sums).subspan(chunk))->wait();
    return sums;
  };
  const std::vector<float> first = sum_once();
  for (int again = 0; again < 5; ++again)
    EXPECT_EQ(std::memcmp(first.data(), sum_once().data(), first.size() * sizeof(float)), 0);
}

// Even and odd ranks apart: both halves work on their own, at the same time.
inline void check_split(Communicator& communicator) {
  const int rank = communicator.rank(), color = rank % 2;
  const auto part = communicator.split(color);
  EXPECT_EQ(part->size(), (communicator.size() + 1 - color) / 2);
  EXPECT_EQ(part->rank(), rank / 2);
  std::vector<double> sum{static_cast<double>(rank)};
  part->all_reduce(sum);
  double expected = 0;
  for (int other = color; other < communicator.size(); other += 2) expected += other;
  EXPECT_EQ(sum[0], expected);
}

inline void check_collectives(Communicator& communicator) {
  check_blocking_collectives(communicator);
  check_texts(communicator);
  for (const std::size_t chunk : {1u, 3u, 64u, 70000u}) check_pending_collectives(communicator, chunk);
  check_repeatability(communicator);
  check_split(communicator);
  std::vector<float> values(static_cast<std::size_t>(communicator.size()) * 2), too_small(1);
  EXPECT_ANY_THROW(communicator.start_reduce_scatter(values, too_small));
}

}  // namespace cola::testing
