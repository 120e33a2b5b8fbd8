//===- Session.h - A context on one GPU, and what lives in it -------------===//
#pragma once

#include "runtime/device/Device.h"
#include "runtime/device/cuda/Driver.h"

#include <utility>

namespace bitbyte::cuda {

/// What a GPU is.
struct Facts {
  std::string name;   ///< "NVIDIA H100 80GB HBM3"
  int arch = 0;       ///< 10 * major + minor: 90
  uint64_t bytes = 0; ///< Memory in all.
  int processors = 0;
  uint64_t sharedBytes = 0; ///< Shared memory that a block may have.
  double hertz = 0;         ///< Of the processors, typical.
  double busBytes = 0;      ///< Per second, by clock and width; 0: unknown.
};
/// NoDevice below sm_80.
Result<Facts> readFacts(const Driver &driver, Device device);

/// The primary context of the first visible GPU, current in the calling
/// thread, and one stream. Whatever is made in it keeps it alive.
class Session {
public:
  static Result<std::shared_ptr<Session>> open();
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  const Driver &api() const { return *driver; }
  const Facts &facts() const { return theFacts; }
  Stream stream() const { return theStream; }

  /// A kernel hangs: from here on nothing is freed, for that would wait for it.
  void abandon() { lost = true; }
  bool abandoned() const { return lost; }

  /// The GPU's free memory and all of it.
  Result<std::pair<uint64_t, uint64_t>> freeAndTotal() const;
  /// Not zeroed, aligned to 256 bytes. NoDevice says what was asked and free.
  static Result<DeviceMemory> allocate(std::shared_ptr<Session> session,
                                       uint64_t bytes);
  /// Memory of the host that the GPU reaches, aligned to a page.
  static Result<DeviceMemory> allocateHost(std::shared_ptr<Session> session,
                                           uint64_t bytes);

private:
  Session() = default;

  std::shared_ptr<const Driver> driver;
  Facts theFacts;
  Device device = 0;
  Context context = nullptr;
  Stream theStream = nullptr;
  bool lost = false;
};

/// A thing of the driver's that is destroyed with its owner.
template <typename Thing>
class Owned {
public:
  using Destroy = Status (*Driver::*)(Thing);

  Owned() = default;
  Owned(std::shared_ptr<Session> session, Thing thing, Destroy destroy)
      : session(std::move(session)), thing(thing), destroy(destroy) {}
  Owned(Owned &&other) noexcept { *this = std::move(other); }
  Owned &operator=(Owned &&other) noexcept {
    std::swap(session, other.session);
    std::swap(thing, other.thing);
    std::swap(destroy, other.destroy);
    return *this;
  }
  ~Owned() {
    if (thing && !session->abandoned())
      (session->api().*destroy)(thing);
  }
  Thing get() const { return thing; }

private:
  std::shared_ptr<Session> session;
  Thing thing = nullptr;
  Destroy destroy = nullptr;
};

inline Address address(const void *data) {
  return reinterpret_cast<Address>(data);
}

} // namespace bitbyte::cuda
