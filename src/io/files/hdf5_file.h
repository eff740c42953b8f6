// Hdf5File: the little of HDF5 that checkpoints need. HDF5 lays out the file (names, shapes, attributes); the
// bulk of the bytes is written beside it with plain system calls at the offsets it reserved, because HDF5
// reports a full disk only at the first failing call and holds its one global lock for as long as it writes.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace cola {

/// While one lives, HDF5 belongs to this thread (many builds are not thread-safe) and prints no error stacks.
class Hdf5Scope {
 public:
  Hdf5Scope();
  ~Hdf5Scope();
  Hdf5Scope(const Hdf5Scope&) = delete;
  Hdf5Scope& operator=(const Hdf5Scope&) = delete;

  /// Why the last call failed, in one phrase: the system's reason if there is one, else HDF5's innermost
  /// message.
  std::string reason() const;

 private:
  std::unique_lock<std::recursive_mutex> lock_;
  int (*printer_)(std::int64_t, void*) = nullptr;
  void* printer_data_ = nullptr;
};

/// Of the library at hand: "1.10.8".
std::string hdf5_version();

/// Owns an HDF5 identifier and closes it.
class Hdf5Handle {
 public:
  using Close = int (*)(std::int64_t);

  Hdf5Handle() = default;
  Hdf5Handle(std::int64_t identifier, Close closer) : identifier_(identifier), closer_(closer) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept;
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept;
  ~Hdf5Handle() { close(); }

  std::int64_t get() const { return identifier_; }
  bool valid() const { return identifier_ >= 0; }
  /// Closes now; false if HDF5 reports an error.
  bool close();

 private:
  std::int64_t identifier_ = -1;
  Close closer_ = nullptr;
};

/// What a dataset holds, little-endian.
enum class Hdf5Element { float32, uint16, uint32, uint64 };

/// An open HDF5 file. Every member throws FileError naming the path and the reason.
class Hdf5File {
 public:
  static Hdf5File create(const std::string& path);
  static Hdf5File open(const std::string& path);

  /// Makes a contiguous dataset and returns the byte offset in the file where its data belong. Nothing is
  /// written there.
  std::int64_t reserve(const std::string& name, const std::vector<std::int64_t>& shape,
                       Hdf5Element element = Hdf5Element::float32);
  /// The same for a scalar string dataset of a length that is known already.
  std::int64_t reserve_text(const std::string& name, std::size_t bytes);
  /// A scalar string dataset of any length.
  void write_text(const std::string& name, const std::string& text);
  /// Attributes of an object ("/" is the file itself).
  void write_attribute(const std::string& object, const std::string& name, const std::string& text);
  void write_attribute(const std::string& object, const std::string& name, std::int64_t value);
  /// Text of variable length, which h5py gives as a str.
  void write_variable_attribute(const std::string& object, const std::string& name, const std::string& text);
  /// A table of `columns` columns; small, as HDF5 allows attributes 64 KiB.
  void write_attribute(const std::string& object, const std::string& name,
                       std::span<const std::int64_t> values, std::int64_t columns);

  bool contains(const std::string& name) const;
  /// Of what the file's root holds.
  std::vector<std::string> names() const;
  std::vector<std::int64_t> shape(const std::string& name) const;
  std::string read_text(const std::string& name) const;
  /// Elements [begin, begin + values.size()) of a dataset of one dimension.
  void read(const std::string& name, std::int64_t begin, std::span<float> values) const;
  /// A dataset of any shape, whole, rows first.
  void read_all(const std::string& name, std::span<float> values) const;

  void close();

  /// HDF5's own, for what is read past this class.
  std::int64_t identifier() const { return file_.get(); }

 private:
  explicit Hdf5File(const std::string& path) : path_(path) {}
  [[noreturn]] void fail(const Hdf5Scope& scope, const std::string& action) const;
  Hdf5Handle check(const Hdf5Scope& scope, Hdf5Handle handle, const std::string& action) const;
  std::int64_t reserve(const Hdf5Scope& scope, const std::string& name, std::int64_t type,
                       const Hdf5Handle& space);
  void write_attribute(const std::string& object, const std::string& name, const Hdf5Handle& type,
                       const Hdf5Handle& space, const void* values);
  void read_selected(const Hdf5Scope& scope, const std::string& name, const Hdf5Handle& dataset,
                     const Hdf5Handle& selection, std::span<float> values) const;

  std::string path_;
  Hdf5Handle file_;
};

}  // namespace cola
