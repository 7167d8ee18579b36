// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <daemonctx/daemon_context.hpp>
#include <deque>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "queue.hpp"
#include "work.hpp"

namespace jobd {

/// The threads that do the jobs, each with a connection to the database. All calls come from one thread.
class Workers {
 public:
  Workers(daemonctx::DaemonContext& context, std::string database)
      : context_(context), database_(std::move(database)) {}
  ~Workers() {  // waits for the jobs that were begun
    change([&] { stops_ = true; });
    for (Worker& each : workers_) each.thread.join();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void set_number(std::size_t number) {
    change([&] { number_ = number; });
    while (workers_.size() < number) {
      Worker& made = workers_.emplace_back(std::make_shared<Queue>(database_));
      context_.close_on_exit(made.queue);  // an error is logged, and the others are closed all the same
      made.thread = std::thread([this, &made, index = workers_.size() - 1] { run(made, index); });
    }
  }

  /// There may be jobs.
  void wake() {
    change([] {});
  }

  /// The id of each worker's job, or 0. A worker beyond the number is there as long as it has a job.
  std::vector<long> jobs() const {
    std::vector<long> jobs;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const long job = workers_[i].job;
      if (i < number_ || job != 0) jobs.push_back(job);
    }
    return jobs;
  }

 private:
  struct Worker {
    std::shared_ptr<Queue> queue;
    std::atomic<long> job = 0;
    std::thread thread = {};
  };

  template <class Change>
  void change(Change&& make) {
    const std::lock_guard lock(mutex_);
    make();
    ++changes_;
    changed_.notify_all();
  }

  void run(Worker& worker, std::size_t index) {
    std::unique_lock lock(mutex_);
    while (!stops_) {
      const unsigned seen = changes_;
      const bool takes_jobs = index < number_;
      lock.unlock();
      const bool was_busy = takes_jobs && do_one(worker);
      lock.lock();
      if (!was_busy) changed_.wait(lock, [&] { return changes_ != seen; });
    }
  }

  bool do_one(Worker& worker) {
    std::optional<Job> job;
    try_to([&] { job = worker.queue->take(); });
    if (!job) return false;
    worker.job = job->id;
    std::string result;
    bool fails = false;
    try {
      result = do_work(job->text);
    } catch (const std::exception& error) {
      fails = true;
      result = error.what();
    }
    // A full disk has room again some time: what has been worked out waits for that.
    while (!try_to([&] { fails ? worker.queue->fail(*job, result) : worker.queue->finish(*job, result); })) {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, std::chrono::seconds(1), [&] { return stops_; })) break;
    }
    worker.job = 0;
    return true;
  }

  template <class Call>
  static bool try_to(Call&& call) {
    try {
      call();
      return true;
    } catch (const DatabaseError& error) {
      std::cerr << error.what() << std::endl;
      return false;
    }
  }

  daemonctx::DaemonContext& context_;
  const std::string database_;
  std::deque<Worker> workers_;  // only grows; those above `number_` rest
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t number_ = 0;
  unsigned changes_ = 0;
  bool stops_ = false;
};

}  // namespace jobd
