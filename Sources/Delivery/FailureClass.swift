/// What a failure means for what was being delivered. Every error at a sink or spool carries one; it decides, nobody parses
/// messages.
public enum FailureClass: String, Sendable, CaseIterable {
    /// Nothing was applied and trying again later may work: server away, deadlock, disk full.
    case transient
    /// Nothing was applied and only a person can change that: wrong password, missing right. Tried again all the same,
    /// after a quarter of the ceiling or more, because people do mend things.
    case permanent
    /// Unknown whether it was applied: the connection went before the answer. Ask the sink first, then send the rest.
    case ambiguous
    /// Nothing was applied and this very content never will be.
    case poison
}
