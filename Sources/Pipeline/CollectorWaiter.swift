internal import LogModel

extension Collector {
    /// Somebody who waits for one or more batches.
    package final class Waiter {
        var remaining = 0
        var deadline = MonotonicTime(nanoseconds: .max)
        private let recordCount: Int
        private var answer: ((Receipt) -> Void)?
        /// Given before anybody asked.
        private var receipt: Receipt?

        init(recordCount: Int, _ answer: ((Receipt) -> Void)? = nil) {
            self.recordCount = recordCount
            self.answer = answer
        }

        /// Has the receipt given to `answer`: now, or when there is one. Once only.
        package func whenGiven(_ answer: @escaping (Receipt) -> Void) {
            if let receipt { return answer(receipt) }
            self.answer = answer
        }

        func giveDurable() { give(.durable(recordCount: recordCount)) }

        /// Answers, once.
        func give(_ receipt: Receipt) {
            guard self.receipt == nil else { return }
            self.receipt = receipt
            answer?(receipt)
            answer = nil
        }
    }
}
