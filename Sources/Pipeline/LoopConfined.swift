/// Carries a value that belongs to the loop through a `@Sendable` closure that runs on the loop.
///
/// `@unchecked Sendable`: who makes one promises that both ends are on the same scheduler.
package struct LoopConfined<Value>: @unchecked Sendable {
    package let value: Value
    package init(_ value: Value) { self.value = value }
}
