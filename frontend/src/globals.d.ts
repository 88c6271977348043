/** True in the builds that carry made-up sessions for tests. */
declare const __FIXTURE__: boolean;
