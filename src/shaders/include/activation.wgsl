// The gate's activation. ACTIVATION: 0 = silu, 1 = gelu (tanh form), 2 = gelu (erf).
#param ACTIVATION: u32

fn activate(x: f32) -> f32 {
#if ACTIVATION == 0
  return x / (1.0 + exp(-x));
#else
#if ACTIVATION == 1
  let inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  // tanh overflows on some drivers beyond |x| = 44; it is 1 to f32 long before.
  return 0.5 * x * (1.0 + tanh(clamp(inner, -15.0, 15.0)));
#else
  return 0.5 * x * (1.0 + erf(x * 0.7071067811865476));
#endif
#endif
}

#if ACTIVATION == 2
// Largest error 1.5e-7. Source: Abramowitz and Stegun 7.1.26.
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - p * exp(-x * x));
}
#endif
