#include "io/files/hdf5_file.h"

#include <hdf5.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "io/files/durable_file.h"

namespace cola {

static_assert(H5_VERSION_GE(1, 10, 7), "HDF5 1.10.7 or newer: older ones cannot be told to do without locks");
static_assert(std::is_same_v<hid_t, std::int64_t> && std::is_same_v<herr_t, int>, "types of HDF5 handles");
static_assert(std::endian::native == std::endian::little, "datasets are written as they lie in memory");

namespace {

// Small datasets stay packed; the large ones begin on a page.
constexpr hsize_t alignment_threshold = 16384, alignment = 4096;

// A file that could not be closed (full disk, size limit) crashes HDF5's own cleanup at exit. Everything here
// is closed by its owner, so that cleanup is not wanted; it can be declined only before HDF5 is first used,
// hence before main.
[[maybe_unused]] const int cleanup_declined = H5dont_atexit();

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

struct Reason {
  std::string innermost;
  int error_number = 0;
};

herr_t collect_reason(unsigned, const H5E_error2_t* error, void* data) {
  auto& reason = *static_cast<Reason*>(data);
  const std::string_view text = error->desc ? error->desc : "";
  if (reason.innermost.empty()) reason.innermost = text;
  constexpr std::string_view key = "errno = ";
  const std::size_t found = text.find(key);
  if (reason.error_number == 0 && found != std::string_view::npos)
    reason.error_number = std::atoi(error->desc + found + key.size());
  return 0;
}

std::vector<hsize_t> extents(const std::vector<std::int64_t>& shape) {
  return {shape.begin(), shape.end()};
}

Hdf5Handle simple_space(const std::vector<std::int64_t>& shape) {
  const std::vector<hsize_t> sizes = extents(shape);
  return {H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose};
}

Hdf5Handle scalar_space() {
  return {H5Screate(H5S_SCALAR), H5Sclose};
}

Hdf5Handle text_type(std::size_t bytes) {
  Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), std::max<std::size_t>(bytes, 1));
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  return type;
}

Hdf5Handle variable_text_type() {
  Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

Hdf5Handle integer_type() {
  return {H5Tcopy(H5T_STD_I64LE), H5Tclose};
}

hid_t type_of(Hdf5Element element) {
  switch (element) {
    case Hdf5Element::float32:
      return H5T_IEEE_F32LE;
    case Hdf5Element::uint16:
      return H5T_STD_U16LE;
    case Hdf5Element::uint32:
      return H5T_STD_U32LE;
    case Hdf5Element::uint64:
      break;
  }
  return H5T_STD_U64LE;
}

// Locks are unknown to some parallel file systems, and not needed: a file is private until it has its final
// name.
Hdf5Handle file_access() {
  Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.get(), false, true);
  H5Pset_alignment(access.get(), alignment_threshold, alignment);
  return access;
}

// Contiguous, with its place in the file known at once.
Hdf5Handle dataset_creation() {
  Hdf5Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_layout(properties.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(properties.get(), false);  // the same values make the same file
  return properties;
}

}  // namespace

Hdf5Scope::Hdf5Scope() : lock_(library_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Scope::~Hdf5Scope() {
  H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_);
}

std::string Hdf5Scope::reason() const {
  Reason reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect_reason, &reason);
  if (reason.error_number != 0) return system_reason(reason.error_number);
  return reason.innermost.empty() ? "HDF5 gives no reason" : reason.innermost;
}

std::string hdf5_version() {
  const Hdf5Scope scope;
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

Hdf5Handle::Hdf5Handle(Hdf5Handle&& other) noexcept
    : identifier_(std::exchange(other.identifier_, -1)), closer_(other.closer_) {}

Hdf5Handle& Hdf5Handle::operator=(Hdf5Handle&& other) noexcept {
  if (this != &other) {
    close();
    identifier_ = std::exchange(other.identifier_, -1);
    closer_ = other.closer_;
  }
  return *this;
}

bool Hdf5Handle::close() {
  if (identifier_ < 0) return true;
  const Hdf5Scope scope;
  return closer_(std::exchange(identifier_, -1)) >= 0;
}

void Hdf5File::fail(const Hdf5Scope& scope, const std::string& action) const {
  throw FileError("{}: cannot {}: {}", path_, action, scope.reason());
}

Hdf5Handle Hdf5File::check(const Hdf5Scope& scope, Hdf5Handle handle, const std::string& action) const {
  if (!handle.valid()) fail(scope, action);
  return handle;
}

Hdf5File Hdf5File::create(const std::string& path) {
  const Hdf5Scope scope;
  Hdf5File file(path);
  const Hdf5Handle access =
      file_access();  // outlives the call: closing it would clear the reason of a failure
  const Hdf5Handle properties(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(properties.get(), false);  // of the root group
  file.file_ = {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, properties.get(), access.get()), H5Fclose};
  if (!file.file_.valid()) file.fail(scope, "create");
  return file;
}

Hdf5File Hdf5File::open(const std::string& path) {
  const Hdf5Scope scope;
  Hdf5File file(path);
  const Hdf5Handle access = file_access();
  file.file_ = {H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose};
  if (!file.file_.valid()) file.fail(scope, "open as HDF5");
  return file;
}

std::int64_t Hdf5File::reserve(const std::string& name, const std::vector<std::int64_t>& shape,
                               Hdf5Element element) {
  const Hdf5Scope scope;
  return reserve(scope, name, type_of(element), simple_space(shape));
}

std::int64_t Hdf5File::reserve_text(const std::string& name, std::size_t bytes) {
  const Hdf5Scope scope;
  return reserve(scope, name, text_type(bytes).get(), scalar_space());
}

std::int64_t Hdf5File::reserve(const Hdf5Scope& scope, const std::string& name, std::int64_t type,
                               const Hdf5Handle& space) {
  const Hdf5Handle properties = dataset_creation();
  Hdf5Handle dataset = check(
      scope,
      {H5Dcreate2(file_.get(), name.c_str(), type, space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
       H5Dclose},
      "make the dataset " + name);
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF || !dataset.close()) fail(scope, "reserve the dataset " + name);
  return static_cast<std::int64_t>(offset);
}

void Hdf5File::write_text(const std::string& name, const std::string& text) {
  const Hdf5Scope scope;
  const Hdf5Handle type = text_type(text.size());
  const Hdf5Handle properties = dataset_creation();
  Hdf5Handle dataset = check(scope,
                             {H5Dcreate2(file_.get(), name.c_str(), type.get(), scalar_space().get(),
                                         H5P_DEFAULT, properties.get(), H5P_DEFAULT),
                              H5Dclose},
                             "make the dataset " + name);
  if (H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.c_str()) < 0 ||
      !dataset.close())
    fail(scope, "write " + name);
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, const std::string& text) {
  const Hdf5Scope scope;
  write_attribute(object, name, text_type(text.size()), scalar_space(), text.c_str());
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, std::int64_t value) {
  const Hdf5Scope scope;
  write_attribute(object, name, integer_type(), scalar_space(), &value);
}

void Hdf5File::write_variable_attribute(const std::string& object, const std::string& name,
                                        const std::string& text) {
  const Hdf5Scope scope;
  const char* characters = text.c_str();
  write_attribute(object, name, variable_text_type(), scalar_space(), &characters);
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name,
                               std::span<const std::int64_t> values, std::int64_t columns) {
  const Hdf5Scope scope;
  const std::int64_t rows = static_cast<std::int64_t>(values.size()) / columns;
  write_attribute(object, name, integer_type(), simple_space({rows, columns}), values.data());
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, const Hdf5Handle& type,
                               const Hdf5Handle& space, const void* values) {
  const Hdf5Scope scope;
  const std::string action = "write the attribute " + name;
  const Hdf5Handle owner =
      check(scope, {H5Oopen(file_.get(), object.c_str(), H5P_DEFAULT), H5Oclose}, "open " + object);
  Hdf5Handle attribute = check(
      scope,
      {H5Acreate2(owner.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose},
      action);
  if (H5Awrite(attribute.get(), type.get(), values) < 0 || !attribute.close()) fail(scope, action);
}

bool Hdf5File::contains(const std::string& name) const {
  const Hdf5Scope scope;
  return H5Lexists(file_.get(), name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> Hdf5File::names() const {
  const Hdf5Scope scope;
  std::vector<std::string> names;
  const H5L_iterate_t add = [](hid_t, const char* name, const H5L_info_t*, void* list) {
    static_cast<std::vector<std::string>*>(list)->emplace_back(name);
    return 0;
  };
  if (H5Literate(file_.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &names) < 0)
    fail(scope, "list what it holds");
  return names;
}

std::vector<std::int64_t> Hdf5File::shape(const std::string& name) const {
  const Hdf5Scope scope;
  const Hdf5Handle dataset =
      check(scope, {H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose}, "find the dataset " + name);
  const Hdf5Handle space = check(scope, {H5Dget_space(dataset.get()), H5Sclose}, "read the shape of " + name);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 0) fail(scope, "read the shape of " + name);
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr);
  return {sizes.begin(), sizes.end()};
}

std::string Hdf5File::read_text(const std::string& name) const {
  const Hdf5Scope scope;
  const Hdf5Handle dataset =
      check(scope, {H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose}, "find the text " + name);
  const Hdf5Handle type = check(scope, {H5Dget_type(dataset.get()), H5Tclose}, "read " + name);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) > 0)
    throw FileError("{}: {} is no text of fixed length", path_, name);
  std::string text(H5Tget_size(type.get()), '\0');
  if (H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) < 0)
    fail(scope, "read " + name);
  return text;
}

void Hdf5File::read(const std::string& name, std::int64_t begin, std::span<float> values) const {
  const Hdf5Scope scope;
  const Hdf5Handle dataset =
      check(scope, {H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose}, "find the dataset " + name);
  const Hdf5Handle space = check(scope, {H5Dget_space(dataset.get()), H5Sclose}, "read the shape of " + name);
  const auto end = begin + static_cast<std::int64_t>(values.size());
  if (H5Sget_simple_extent_ndims(space.get()) != 1 || begin < 0 ||
      end > H5Sget_simple_extent_npoints(space.get()))
    throw FileError("{}: {} does not hold elements {} to {}", path_, name, begin, end);
  const auto first = static_cast<hsize_t>(begin), count = static_cast<hsize_t>(values.size());
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &first, nullptr, &count, nullptr);
  read_selected(scope, name, dataset, space, values);
}

void Hdf5File::read_all(const std::string& name, std::span<float> values) const {
  const Hdf5Scope scope;
  const std::vector<std::int64_t> sizes = shape(name);
  const auto elements = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
  if (elements != static_cast<std::int64_t>(values.size()))
    throw FileError("{}: {} holds {} elements, not {}", path_, name, elements, values.size());
  const Hdf5Handle dataset =
      check(scope, {H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose}, "find the dataset " + name);
  read_selected(scope, name, dataset, {H5Dget_space(dataset.get()), H5Sclose}, values);
}

void Hdf5File::read_selected(const Hdf5Scope& scope, const std::string& name, const Hdf5Handle& dataset,
                             const Hdf5Handle& selection, std::span<float> values) const {
  const Hdf5Handle memory = simple_space({static_cast<std::int64_t>(values.size())});
  if (H5Dread(dataset.get(), H5T_NATIVE_FLOAT, memory.get(), selection.get(), H5P_DEFAULT, values.data()) < 0)
    fail(scope, "read " + name);
}

void Hdf5File::close() {
  const Hdf5Scope scope;
  const bool flushed = H5Fflush(file_.get(), H5F_SCOPE_LOCAL) >= 0;
  const std::string reason = flushed ? "" : scope.reason();  // a later call that succeeds must not hide it
  const bool closed = file_.close();
  if (!flushed || !closed) throw FileError("{}: cannot close: {}", path_, flushed ? scope.reason() : reason);
}

}  // namespace cola
