// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <functional>
#include <utility>

#include "daemonctx/export.hpp"

namespace daemonctx::detail {

template <class T>
class Handle;

/// A pointer to a T, plain or smart.
template <class Pointer, class T>
concept PointerTo = !std::same_as<Pointer, Handle<T>> && std::copy_constructible<Pointer> &&
                    requires(const Pointer& pointer) {
  { *pointer } -> std::convertible_to<T&>;
};

/// A `std::shared_ptr` to a T, or a plain pointer to one that outlives the start. Copies share it.
/// (`std::shared_ptr` itself would cost every program the time to compile `<memory>`.)
template <class T>
class Handle {
 public:
  Handle() = default;
  Handle(PointerTo<T> auto pointer)  // NOLINT(*-explicit-*)
      : get_([pointer = std::move(pointer)]() -> T* { return pointer ? &*pointer : nullptr; }) {}

  T* get() const { return get_ ? get_() : nullptr; }
  T& operator*() const { return *get(); }
  T* operator->() const { return get(); }

 private:
  std::function<T*()> get_;
};

}  // namespace daemonctx::detail
