// Runs kernels. A thread of a block is a plain call on one fiber that the threads share, until it
// waits: then it keeps that fiber, and the next thread begins on another. Blocks are shared out
// among the processor's cores.

#include <emulator.h>

#include <atomic>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "emulation.h"
#include "fiber.h"
#include "sanitizers.h"

namespace emulation {
Order order = Order::forward;
}

namespace emulator {

constinit thread_local Here here;

namespace {

using emulation::Order;

constexpr unsigned warp_size = 32;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("emulated kernel: " + what);
}

std::string name_of(const Place& place) {
  std::string file = place.file;
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(place.line);
}

bool same(const Place& a, const Place& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

/// Ends a thread that waits, because another one has failed.
struct Stopped {};

/// Runs one block after another.
class Block {
 public:
  void run(unsigned threads, std::int64_t number, const std::function<void()>& body);
  void wait(const Place& place, bool for_block);

 private:
  // A thread that waits, or a fiber for the next one.
  struct Seat {
    Seat(Block* block, std::size_t number)
        : fiber([](void* self) { static_cast<Block*>(self)->work(); }, block, number * 192 % 4032) {
    }
    Fiber fiber;
    unsigned thread = 0;
    bool waits = false, for_block = false;
    Place place{};
  };

  void work();
  void enter(Seat& seat);
  void* barrier_of(const Seat& seat);
  std::vector<Seat*> waiting();
  std::vector<Seat*> ready(std::vector<Seat*> waiting);

  const std::function<void()>* body_ = nullptr;
  std::vector<unsigned> order_;  // in which threads start
  std::size_t started_ = 0;
  std::deque<Seat> seats_;  // kept for later blocks
  std::size_t taken_ = 0;   // seats that this block has used
  Seat* current_ = nullptr;
  std::vector<Lane> lanes_;
  std::minstd_rand random_;
  std::exception_ptr error_;
  char start_ = 0, end_ = 0, block_barrier_ = 0;  // what ThreadSanitizer knows them by
};

thread_local Block* block_here = nullptr;

void set_thread(unsigned index) {
  unsigned x = here.block_size.x, y = here.block_size.y;
  here.index = index;
  here.thread = dim3(index % x, index / x % y, index / (x * y));
}

void Block::run(unsigned threads, std::int64_t number, const std::function<void()>& body) {
  sanitizer::Unseen unseen;
  block_here = this;
  body_ = &body;
  started_ = taken_ = 0;
  order_.resize(threads);
  std::iota(order_.begin(), order_.end(), 0u);
  if (emulation::order == Order::backward) std::reverse(order_.begin(), order_.end());
  random_.seed(static_cast<unsigned>(number + 1));
  if (emulation::order == Order::shuffled) std::shuffle(order_.begin(), order_.end(), random_);
  lanes_.assign((threads + warp_size - 1) / warp_size * warp_size, Lane{});
  here.lanes = lanes_.data();

  sanitizer::release(&start_);
  while (started_ < threads && !error_) {
    if (taken_ == seats_.size()) seats_.emplace_back(this, taken_);
    enter(seats_[taken_++]);
  }
  for (auto seats = waiting(); !seats.empty(); seats = waiting()) {
    try {
      if (!error_) seats = ready(seats);
    } catch (...) {
      error_ = std::current_exception();  // which now ends all that wait
    }
    for (Seat* seat : seats) enter(*seat);
  }
  sanitizer::acquire(&end_);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Block::enter(Seat& seat) {
  current_ = &seat;
  if (seat.waits) set_thread(seat.thread);
  seat.waits = false;
  seat.fiber.enter();
}

// Runs on a fiber: threads that have not started yet, until one of them waits. ThreadSanitizer
// takes a fiber for one thread, so that there each gets its own.
void Block::work() {
  do {
    const std::function<void()>* body;
    {
      sanitizer::Unseen unseen;
      body = body_;
      current_->thread = order_[started_++];
      set_thread(current_->thread);
      sanitizer::acquire(&start_);
    }
    try {
      (*body)();
    } catch (const Stopped&) {
    } catch (...) {
      sanitizer::Unseen unseen;
      if (!error_) error_ = std::current_exception();
    }
    sanitizer::release(&end_);
  } while (!sanitizer::of_threads && started_ < order_.size() && !error_);
}

// A tag for ThreadSanitizer: threads that wait here see what the others did before.
void* Block::barrier_of(const Seat& seat) {
  if (seat.for_block) return &block_barrier_;
  return &lanes_[seat.thread / warp_size * warp_size];
}

void Block::wait(const Place& place, bool for_block) {
  sanitizer::Unseen unseen;
  if (error_) throw Stopped{};
  Seat& seat = *current_;
  seat.waits = true;
  seat.for_block = for_block;
  seat.place = place;
  sanitizer::release(barrier_of(seat));
  seat.fiber.leave();
  sanitizer::acquire(barrier_of(seat));
  if (error_) throw Stopped{};
}

std::vector<Block::Seat*> Block::waiting() {
  std::vector<Seat*> seats;
  for (std::size_t i = 0; i < taken_; ++i)
    if (seats_[i].waits) seats.push_back(&seats_[i]);
  return seats;
}

// Those of the waiting threads whose barrier is reached.
std::vector<Block::Seat*> Block::ready(std::vector<Seat*> waiting) {
  auto for_block = [](const Seat* seat) { return seat->for_block; };
  if (std::all_of(waiting.begin(), waiting.end(), for_block)) {
    for (const Seat* seat : waiting)
      if (!same(seat->place, waiting[0]->place))
        fail("threads of a block wait at different barriers, " + name_of(waiting[0]->place) +
             " and " + name_of(seat->place));
  } else {
    std::vector<const Seat*> first(lanes_.size() / warp_size);  // of each warp
    for (const Seat* seat : waiting) {
      const Seat*& other = first[seat->thread / warp_size];
      if (other == nullptr) other = seat;
      if (!same(other->place, seat->place))
        fail("lanes of a warp wait at different places, " + name_of(other->place) + " and " +
             name_of(seat->place));
    }
    std::erase_if(waiting, for_block);
  }
  if (emulation::order == Order::shuffled) std::shuffle(waiting.begin(), waiting.end(), random_);
  return waiting;
}

/// Blocks that are not in use; they outlive static objects and threads.
class Blocks {
 public:
  std::unique_ptr<Block> take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Block>();
    auto block = std::move(idle_.back());
    idle_.pop_back();
    return block;
  }
  void give_back(std::unique_ptr<Block> block) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(block));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> idle_;
};
Blocks& blocks_at_hand() {
  static Blocks& blocks = *new Blocks;
  return blocks;
}

}  // namespace

void wait_for_block(const Place& place) { block_here->wait(place, true); }
void wait_for_warp(const Place& place) { block_here->wait(place, false); }
void fail_at(const Place& place, const char* what) { fail(name_of(place) + ": " + what); }

void check_grid(dim3 grid, dim3 block) {
  auto text = [](dim3 d) {
    return std::to_string(d.x) + " x " + std::to_string(d.y) + " x " + std::to_string(d.z);
  };
  std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  bool fits = block.x <= 1024 && block.y <= 1024 && block.z <= 64;
  if (threads == 0 || !fits || threads > 1024)
    fail("a block of " + text(block) + " threads; it may have 1 to 1024");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffff || grid.y > 65535 ||
      grid.z > 65535)
    fail("a grid of " + text(grid) + " blocks; it may have 1 to 2147483647 x 65535 x 65535");
}

void run_grid(dim3 grid, dim3 size, const std::function<void()>& body) {
  const std::int64_t blocks = std::int64_t{grid.x} * grid.y * grid.z;
  const unsigned threads = size.x * size.y * size.z;
  const bool backward = emulation::order == Order::backward;
  std::mutex mutex;
  std::atomic<bool> failed{false};
  std::exception_ptr error;
#pragma omp parallel if (blocks > 1 && blocks * threads >= 2048)
  {
    std::unique_ptr<Block> block = blocks_at_hand().take();
#pragma omp for schedule(dynamic)
    for (std::int64_t i = 0; i < blocks; ++i) {
      if (failed) continue;
      std::int64_t number = backward ? blocks - 1 - i : i, row = number / grid.x;
      here.grid = grid;
      here.block_size = size;
      here.block = dim3(static_cast<unsigned>(number % grid.x), static_cast<unsigned>(row % grid.y),
                        static_cast<unsigned>(row / grid.y));
      try {
        block->run(threads, number, body);
      } catch (...) {
        std::lock_guard lock(mutex);
        failed = true;
        if (!error) error = std::current_exception();
      }
    }
    blocks_at_hand().give_back(std::move(block));
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace emulator
